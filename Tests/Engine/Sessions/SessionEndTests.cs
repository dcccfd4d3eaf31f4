using System.Collections.Concurrent;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>How sessions begin and end: Opened first, Closed last, once each, whatever ends the connection, thread or server.</summary>
public class SessionEndTests
{
    private static readonly string[] Nothing = [];

    private static readonly string[] OpenedAndClosed = ["Opened", "Closed"];

    [Theory]
    [InlineData("the peer", CloseReason.PeerClosed)]
    [InlineData("the peer, silent", CloseReason.PeerClosed)]
    [InlineData("the peer's reset", CloseReason.Reset)]
    [InlineData("an admin", CloseReason.AdminClosed)]
    [InlineData("an admin's reset", CloseReason.AdminClosed)]
    [InlineData("idleness", CloseReason.IdleTimeout)]
    [InlineData("Close", CloseReason.HandlerClosed)]
    [InlineData("Abort", CloseReason.Aborted)]
    [InlineData("Fail", CloseReason.HandlerError)]
    [InlineData("TimeOut", CloseReason.HandlerTimeout)]
    [InlineData("Stop", CloseReason.ServerStopped)]
    public void Opened_comes_first_and_Closed_last_once_each_whatever_ends_it(string way, CloseReason reason)
    {
        const int Clients = 20;
        bool endedByHandler = way is "Close" or "Abort" or "Fail" or "TimeOut";
        var told = new ConcurrentDictionary<long, ConcurrentQueue<string>>();
        using var fixture = new SessionFixture(
            3,
            (session, message) =>
            {
                told.GetOrAdd(session.Id, static _ => []).Enqueue(message.Kind.ToString());
                if (message.Kind == SessionEvent.Received)
                {
                    session.SendLine("answer");
                    End(session, way);
                    Assert.True(!endedByHandler || !session.SendLine("late"));
                }
            },
            tellsOpened: true,
            tellsClosed: true,
            with: options => options with { IdleTimeout = way == "idleness" ? TimeSpan.FromMilliseconds(100) : TimeSpan.Zero })
        {
            ExpectedHandlerErrors = way == "Fail" ? Clients : 0,
        };
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        int lines = way == "the peer, silent" ? 0 : 1;
        if (lines > 0)
        {
            // The second one comes after an end by the handler, and is dropped then.
            clients.ForEach(static client => client.SendLines(["line", "another"]));
            Eventually.Equal(Clients, () => told.Count(static session => session.Value.Contains("Received")));
        }

        switch (way)
        {
            case "the peer" or "the peer, silent":
                clients.ForEach(static client => client.EndSending());
                break;
            case "Close" or "Fail" or "TimeOut" or "idleness":
                clients.ForEach(static client => client.ReceiveToEnd());
                clients.ForEach(static client => client.EndSending());
                break;
            case "the peer's reset":
                clients.ForEach(static client => client.Reset());
                break;
            case "an admin" or "an admin's reset":
                ConnectionAction action = way == "an admin" ? ConnectionAction.Close : ConnectionAction.Reset;
                foreach (ConnectionInfo row in fixture.Rows())
                {
                    Assert.True(fixture.Server.TryAct(
                        new ConnectionRef(row.Id, row.Worker), action, Eventually.Patience, TestContext.Current.CancellationToken, out _));
                }

                if (way == "an admin")
                {
                    clients.ForEach(static client => client.ReceiveToEnd());
                    clients.ForEach(static client => client.EndSending());
                }

                break;
            case "Stop":
                fixture.Server.Stop();
                break;
        }

        Eventually.Equal(Clients, () => told.Count(static session => session.Value.Contains("Closed")));
        clients.ForEach(static client => client.Dispose());
        fixture.AssertAtRest();
        string[] received = [.. Enumerable.Repeat("Received", endedByHandler ? 1 : 2 * lines)];
        Assert.Equal(Clients, told.Count);
        Assert.All(told.Values, events => Assert.Equal(["Opened", .. received, "Closed"], events));
        Assert.All(fixture.Server.GetClosed(), row => Assert.Equal(reason, row.CloseReason));
        Assert.Equal(way == "TimeOut" ? Clients : 0, fixture.Server.HandlerTimeouts);
    }

    [Fact]
    public void Lines_that_came_before_a_reset_are_told_and_Closed_comes_last()
    {
        const int Count = 300;
        using var release = new ManualResetEventSlim();
        var told = new ConcurrentQueue<string>();
        using var fixture = new SessionFixture(
            2,
            (session, message) =>
            {
                release.Wait();
                told.Enqueue(message.Data as string ?? message.Kind.ToString());
                session.SendLine("nobody is there");
            },
            tellsClosed: true);
        using TestClient client = fixture.Connect();
        client.SendLines(Lines.Numbered(0, Count));
        Eventually.Equal(Count, () => fixture.Server.MessagesReceived);
        client.Reset();
        Eventually.Equal(1, () => fixture.Server.Closed);
        release.Set();
        Eventually.Equal(Count + 1, () => told.Count);
        fixture.AssertAtRest();
        Assert.Equal([.. Lines.Numbered(0, Count), "Closed"], told);
        Assert.Equal(CloseReason.Reset, fixture.Server.GetClosed()[0].CloseReason);
    }

    [Fact]
    public void When_the_server_stops_the_threads_get_all_that_there_was_and_then_come_to_their_end()
    {
        const int Clients = 200;
        using var release = new ManualResetEventSlim();
        var told = new ConcurrentDictionary<long, ConcurrentQueue<string>>();
        var fixture = new SessionFixture(
            2,
            (session, message) =>
            {
                release.Wait();
                told.GetOrAdd(session.Id, static _ => []).Enqueue(message.Data as string ?? message.Kind.ToString());
            },
            tellsOpened: true,
            tellsClosed: true,
            with: static options => options with { WorkerCount = 2 });
        using (fixture)
        {
            List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
            clients.ForEach(static client => client.SendLines(Lines.Numbered(0, 100)));
            Eventually.Equal(Clients * 100, () => fixture.Server.MessagesReceived);
            fixture.Server.Stop();
            fixture.Scheduler.Complete();
            release.Set();
            clients.ForEach(static client => client.Dispose());
        }

        Assert.Equal(Clients, told.Count);
        Assert.All(told.Values, static events => Assert.Equal(["Opened", .. Lines.Numbered(0, 100), "Closed"], events));
    }

    [Fact]
    public void What_a_worker_leaves_when_it_is_sent_away_is_told_though_a_thread_blocks()
    {
        using var release = new ManualResetEventSlim();
        int closed = 0;
        using var fixture = new SessionFixture(
            2,
            (session, message) =>
            {
                if (message.Data is "block")
                {
                    release.Wait();
                }

                Interlocked.Add(ref closed, message.Kind == SessionEvent.Closed ? 1 : 0);
            },
            tellsClosed: true,
            with: static options => options with { WorkerCount = 2 });
        using TestClient blocker = fixture.Connect();
        using TestClient client = fixture.Connect();
        blocker.SendLine("block");
        Eventually.Equal(1, () => fixture.Asleep);
        client.Dispose();
        fixture.Resize(1);
        Eventually.Equal(1, () => Volatile.Read(ref closed));
        release.Set();
    }

    [Fact]
    public void A_session_whose_thread_is_given_up_goes_on_with_the_others()
    {
        using var release = new ManualResetEventSlim();
        using var stuck = new ManualResetEventSlim();
        var told = new ConcurrentQueue<string>();
        bool sentLate = true;
        int back = 0;
        using var fixture = new SessionFixture(
            1,
            (session, message) =>
            {
                if (message.Data is "block")
                {
                    session.SendLine("before");
                    stuck.Set();
                    release.Wait();
                    sentLate = session.SendLine("late");
                    Interlocked.Increment(ref back);
                    return;
                }

                told.Enqueue(message.Data as string ?? message.Kind.ToString());
                session.SendLine($"{message.Data}");
            },
            tellsClosed: true);
        using TestClient client = fixture.Connect();
        using TestClient other = fixture.Connect();
        client.SendLines(["block", .. Lines.Numbered(0, 100)]);
        stuck.Wait(TestContext.Current.CancellationToken);
        other.SendLine("waits");
        Eventually.Equal(1, () => fixture.Scheduler.Count);
        SessionConsumer consumer = fixture.Consumer(0);
        consumer.Session!.TimeOut(TimeSpan.FromSeconds(1));
        consumer.Abandon();
        fixture.AddThread();
        other.ExpectLine("waits");
        Assert.Equal(["before"], client.ReceiveLinesToEnd());
        client.Dispose();
        Eventually.True(() => told.Contains("Closed"));

        // What came after the end is dropped, and all is settled while that thread is still stuck.
        Assert.Equal(["Closed", "waits"], told.Order(StringComparer.Ordinal));
        fixture.AssertAtRest();
        other.SendLine("and goes on");
        other.ExpectLine("and goes on");
        release.Set();
        Eventually.Equal(1, () => Volatile.Read(ref back));
        Assert.False(sentLate);
        Assert.Equal(1, fixture.Server.HandlerTimeouts);
        other.SendLine("undisturbed");
        other.ExpectLine("undisturbed");
    }

    [Fact]
    public void A_given_up_thread_that_sends_on_owes_nobody_anything()
    {
        // At the moment in which it is given up, again and again: what it sends goes out, and no worker is left to look around for it.
        const int Rounds = 200;
        int givenUp = 0;
        using var fixture = new SessionFixture(0, (session, message) =>
        {
            int round = int.Parse((string)message.Data!, null);
            while (Volatile.Read(ref givenUp) < round)
            {
                session.SendLine("x");
                Thread.SpinWait(100);
            }

            session.SendLine("end");
        });
        using TestClient client = fixture.Connect();
        var buffer = new byte[64 * 1024];
        for (int round = 1; round <= Rounds; round++)
        {
            fixture.AddThread();
            client.SendLine($"{round}");
            client.ExpectLine("x");
            fixture.Consumer(round - 1).Abandon();
            Volatile.Write(ref givenUp, round);
            int n;
            do
            {
                n = client.Socket.Receive(buffer);
                Assert.True(n > 0, "the end of the connection");
            }
            while (!buffer.AsSpan(0, n).EndsWith("d\n"u8));
        }

        fixture.AssertAtRest();

        // The moment itself, on this thread: it was about to save a wake-up.
        Worker worker = fixture.Server.Workers.Current[0];
        var consumer = new SessionConsumer(fixture.Scheduler);
        consumer.WakeLater(worker);
        Assert.True(fixture.IsOwed);
        consumer.Abandon();
        Assert.False(fixture.IsOwed);
        consumer.WakeLater(worker);
        Assert.False(fixture.IsOwed);
        consumer.Leave();

        // For the end of the connection.
        fixture.AddThread();
    }

    [Fact]
    public void A_connection_that_never_said_anything_has_no_session_unless_somebody_wants_to_hear_of_it()
    {
        foreach (bool tellsOpened in new[] { false, true })
        {
            var told = new ConcurrentQueue<string>();
            using var fixture = new SessionFixture(1, (_, message) => told.Enqueue(message.Kind.ToString()), tellsOpened, tellsOpened);
            using TestClient client = fixture.Connect();
            Eventually.Equal(1, () => fixture.Rows().Count);
            Assert.Equal(tellsOpened, fixture.HasSession(fixture.RowOf(client)));
            client.Dispose();
            Eventually.Equal(1, () => fixture.Server.Closed);
            Eventually.Equal(tellsOpened ? 2 : 0, () => told.Count);
            Assert.Equal(tellsOpened ? OpenedAndClosed : Nothing, told);
        }
    }

    private static void End(Session session, string way)
    {
        switch (way)
        {
            case "Close":
                session.Close();
                break;
            case "Abort":
                session.Abort();
                break;
            case "Fail":
                session.Fail(new InvalidOperationException("as told"));
                break;
            case "TimeOut":
                session.TimeOut(TimeSpan.FromSeconds(1));
                break;
        }
    }
}
