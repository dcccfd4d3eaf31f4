using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What handler threads send to peers that read slowly, late or never: nothing is lost, nothing is unbounded, nobody is reset.</summary>
public class SessionOutputTests
{
    private const int Mark = 64 * 1024;

    [Fact]
    public void A_client_that_reads_late_gets_the_answers_to_all_its_lines_in_order()
    {
        const int Count = 400;
        const int Size = 100 * 1024;
        int handled = 0;
        using var fixture = new SessionFixture(2, (session, _) =>
        {
            int number = handled;
            Assert.True(session.Answer(Keyed.Bytes(number, Size)));
            Volatile.Write(ref handled, number + 1);
        });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(Lines.Numbered(0, Count));
        long queued = WaitUntilStuck(fixture, client, () => (long)Size * Volatile.Read(ref handled));
        Assert.InRange(queued, 1, Mark + Size);
        for (int i = 0; i < Count; i++)
        {
            Keyed.Verify(i, client.Receive(Size));
        }

        Assert.Equal(Count, handled);
        fixture.AssertAtRest();
        Eventually.True(() => fixture.RowOf(client) is { ReadPaused: false, SendQueue: 0, State: ConnectionState.Open });
    }

    [Fact]
    public void While_much_output_waits_no_further_message_is_handled_and_nobody_is_woken_for_it()
    {
        const int Size = 10_000;
        int handled = 0;
        using var fixture = new SessionFixture(2, (session, _) =>
        {
            session.Answer(new byte[Size]);
            Interlocked.Increment(ref handled);
        });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(Lines.Numbered(0, 800));
        long queued = WaitUntilStuck(fixture, client, () => (long)Size * Volatile.Read(ref handled));
        int before = Volatile.Read(ref handled);
        Assert.InRange(queued, (Mark / 2) + 1, Mark + Size);

        // More that others put there changes nothing: the session waits for its peer.
        client.SendLine("one more");
        using TestClient bystander = fixture.Connect();
        for (int i = 0; i < 100; i++)
        {
            bystander.SendLine("x");
            bystander.Receive(Size);
        }

        Assert.Equal(before + 100, Volatile.Read(ref handled));
        Eventually.True(() => !fixture.IsOwed);
        client.Receive(800 * Size);
        client.Receive(Size);
        Assert.Equal(901, Volatile.Read(ref handled));
    }

    [Fact]
    public void One_answer_may_be_larger_than_the_queue()
    {
        const int Size = 8_000_000;
        using var fixture = new SessionFixture(
            1,
            static (session, message) =>
            {
                byte[] bytes = Keyed.Bytes(3, Size);
                Assert.True(message.Data is "answer" ? session.Answer(bytes) : session.Send(bytes));
            },
            with: static options => options with { MaxSendQueue = 100_000, HighWaterMark = 1000 });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(["answer", "send", "answer"]);
        for (int i = 0; i < 3; i++)
        {
            Keyed.Verify(3, client.Receive(Size));
        }

        fixture.AssertAtRest();
    }

    [Fact]
    public void A_handler_that_sends_faster_than_its_peer_reads_waits_and_is_bounded_and_nothing_is_lost()
    {
        const int MaxSendQueue = 1024 * 1024;
        const int Size = 10_000;
        const int Count = 3000;
        int sent = 0;
        using var fixture = new SessionFixture(
            1,
            (session, _) =>
            {
                for (int i = 0; i < Count; i++)
                {
                    Assert.True(session.Send(Keyed.Bytes(1, Size, i * Size)));
                    Volatile.Write(ref sent, i + 1);
                }
            },
            with: static options => options with { MaxSendQueue = MaxSendQueue });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLine("begin");

        // The kernel takes some, and takes more of it after a moment.
        long last = -1;
        long queued = 0;
        Eventually.True(() =>
        {
            long taken = fixture.Server.BytesSent;
            queued = ((long)Size * Volatile.Read(ref sent)) - taken;
            // Nothing was taken while the two were read: what was sent later would count as queued beside what was taken before.
            bool isStuck = taken == last && fixture.IsWaiting(0) && taken == fixture.Server.BytesSent;
            last = taken;
            return isStuck;
        });
        Assert.InRange(queued, Mark / 2, MaxSendQueue);
        Assert.InRange(sent, 1, Count - 1);
        Keyed.Verify(1, client.Receive(Count * Size));
        Eventually.Equal(Count, () => Volatile.Read(ref sent));
        fixture.AssertAtRest();
        Assert.Equal(1, fixture.Server.ConnectionCount);
    }

    [Theory]
    [InlineData("reset by the peer")]
    [InlineData("reset from elsewhere")]
    [InlineData("closed from elsewhere")]
    [InlineData("timed out")]
    [InlineData("abandoned")]
    [InlineData("stopped")]
    public void A_handler_that_waits_for_its_peer_goes_on_when_there_is_nothing_to_wait_for(string end)
    {
        bool? last = null;
        Session? waiting = null;
        using var fixture = new SessionFixture(
            1,
            (session, _) =>
            {
                waiting = session;
                bool isTaken;
                do
                {
                    isTaken = session.Send(new byte[10_000]);
                }
                while (isTaken);

                last = isTaken;
            },
            with: static options => options with { MaxSendQueue = 100_000, WriteTimeout = TimeSpan.Zero });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLine("begin");
        Eventually.True(() => fixture.IsWaiting(0));
        switch (end)
        {
            case "reset by the peer":
                client.Reset();
                break;
            case "reset from elsewhere":
                waiting!.Abort();
                break;
            case "closed from elsewhere":
                waiting!.Close();
                break;
            case "timed out":
                waiting!.TimeOut(TimeSpan.FromSeconds(1));
                break;
            case "abandoned":
                fixture.Consumer(0).Abandon();
                break;
            default:
                fixture.Server.Stop();
                break;
        }

        Eventually.Equal(false, () => last);
        Assert.False(fixture.IsWaiting(0));
    }

    [Fact]
    public void Who_sends_on_anothers_connection_is_refused_when_its_queue_is_full_and_resets_nobody()
    {
        const int MaxSendQueue = 200_000;
        const int Size = 1000;
        Session? other = null;
        using var fixture = new SessionFixture(
            1, (session, _) => other = session, with: static options => options with { MaxSendQueue = MaxSendQueue });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLine("here");
        Eventually.True(() => other is not null);
        int sent = 0;

        // The kernel takes some, and takes more of it after a moment.
        Eventually.True(() =>
        {
            while (other!.Send(Keyed.Bytes(2, Size, sent * Size)))
            {
                sent++;
            }

            return fixture.RowOf(client).SendQueue is > MaxSendQueue - Size and <= MaxSendQueue;
        });
        Assert.Equal(ConnectionState.Open, other!.State);
        Assert.False(other.Send(new byte[MaxSendQueue]));
        Keyed.Verify(2, client.Receive(sent * Size));
        Eventually.True(() => other.Send(Keyed.Bytes(2, Size, sent * Size)));
        Keyed.Verify(2, client.Receive(Size), sent * Size);
    }

    [Fact]
    public void A_session_that_waits_for_its_peer_moves_from_worker_to_worker_and_loses_nothing()
    {
        const int Size = 50_000;
        const int Count = 400;
        int handled = 0;
        using var fixture = new SessionFixture(
            2,
            (session, _) =>
            {
                session.Answer(Keyed.Bytes(4, Size, handled * Size));
                Interlocked.Increment(ref handled);
            },
            with: static options => options with { WorkerCount = 3 });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(Lines.Numbered(0, Count));
        WaitUntilStuck(fixture, client, () => (long)Size * Volatile.Read(ref handled));
        long id = fixture.RowOf(client).Id;
        using var stop = new CancellationTokenSource();
        var mover = new Thread(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                fixture.Server.TryAct(
                    new ConnectionRef(id), ConnectionAction.Move, Eventually.Patience, CancellationToken.None, out _, moveTo: i % 3);
            }
        });
        mover.Start();
        for (int i = 0; i < Count; i++)
        {
            Keyed.Verify(4, client.Receive(Size), i * Size);
        }

        stop.Cancel();
        mover.Join();
        fixture.AssertAtRest();
    }

    [Fact]
    public void A_mark_that_is_lowered_or_raised_meanwhile_leaves_nobody_waiting()
    {
        const int Size = 20_000;
        const int Count = 1000;
        int handled = 0;
        using var fixture = new SessionFixture(2, (session, _) =>
        {
            session.Answer(Keyed.Bytes(5, Size, handled * Size));
            Interlocked.Increment(ref handled);
        });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(Lines.Numbered(0, Count));
        for (int i = 0; i < Count; i++)
        {
            if (i % 50 == 0)
            {
                int mark = (i / 50 % 2 == 0) ? 1000 : 1_000_000;
                Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { HighWaterMark = mark }));
            }

            Keyed.Verify(5, client.Receive(Size), i * Size);
        }

        fixture.AssertAtRest();
    }

    [Fact]
    public void Messages_that_waited_for_the_peer_are_told_of_its_end_in_their_order()
    {
        var told = new List<string>();
        using var fixture = new SessionFixture(
            2,
            (session, message) =>
            {
                lock (told)
                {
                    told.Add(message.Data as string ?? message.Kind.ToString());
                }

                session.Answer(new byte[5_000_000]);
            },
            tellsOpened: false,
            tellsClosed: true);
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.SendLines(["1", "2", "3", "4"]);
        WaitUntilStuck(fixture, client, () => { lock (told) { return 5_000_000L * told.Count; } });
        int before;
        lock (told)
        {
            before = told.Count;
        }

        Assert.InRange(before, 1, 3);
        client.Reset();
        Eventually.Equal(5, () => { lock (told) { return told.Count; } });
        Assert.Equal(["1", "2", "3", "4", "Closed"], told);
        fixture.AssertAtRest();
    }

    /// <summary>Until the client's answers are stuck and its session waits. How many bytes of them the server holds.</summary>
    private static long WaitUntilStuck(SessionFixture fixture, TestClient client, Func<long> answered)
    {
        // The kernel's buffers may grow for a while.
        long queued = 0;
        long last = -1;
        Eventually.True(() =>
        {
            long sent = answered();
            ConnectionInfo row = fixture.RowOf(client);
            queued = sent - row.BytesSent;
            bool isStuck = row.ReadPaused && fixture.Session(row).IsParked && !fixture.IsOwed && row.BytesSent == last && answered() == sent;
            last = row.BytesSent;
            return isStuck;
        });
        return queued;
    }
}
