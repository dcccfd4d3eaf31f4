using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Messages to handler threads and their answers: order, completeness, and sending from anywhere.</summary>
public class SessionTests
{
    [Fact]
    public void A_thousand_connections_get_every_answer_in_order_and_a_session_is_with_one_thread_at_a_time()
    {
        const int Clients = 1000;
        const int Portions = 4;
        const int LinesPerPortion = 60;
        using var fixture = new SessionFixture(
            threads: 4,
            static (session, message) =>
            {
                var ledger = (Ledger)session.Owner!;
                Assert.Equal(0, Interlocked.Exchange(ref ledger.Busy, 1));
                Assert.EndsWith($"-{ledger.Next++}", (string)message.Data!, StringComparison.Ordinal);
                session.SendLine((string)message.Data!);
                Assert.Equal(1, Interlocked.Exchange(ref ledger.Busy, 0));
            },
            onArrival: static session => session.Owner ??= new Ledger(),
            with: static options => options with { WorkerCount = 2 });
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        for (int portion = 0; portion < Portions; portion++)
        {
            // All send before the first one reads: the threads have the choice among all of them.
            for (int key = 0; key < Clients; key++)
            {
                clients[key].SendLines(Lines.Numbered(key, LinesPerPortion, from: portion * LinesPerPortion));
            }
        }

        for (int key = 0; key < Clients; key++)
        {
            clients[key].ExpectLines(Lines.Numbered(key, Portions * LinesPerPortion));
        }

        fixture.AssertAtRest();
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_session_whose_turn_is_over_goes_on_where_it_was_though_more_has_come()
    {
        // A turn is 64 lines. The thread takes 200 at once, and 200 more come while it is at one of those.
        const int Portion = 200;
        using var hold = new SemaphoreSlim(0);
        using var fixture = new SessionFixture(2, (session, message) =>
        {
            if (message.Data is "begin" or "0-10" or "0-210")
            {
                hold.Wait();
            }

            session.SendLine((string)message.Data!);
        });
        using TestClient client = fixture.Connect();
        client.SendLine("begin");
        Eventually.Equal(1, () => fixture.Server.MessagesReceived);
        Eventually.Equal(0, () => fixture.Scheduler.Count);
        client.SendLines(Lines.Numbered(0, Portion));
        Eventually.Equal(1 + Portion, () => fixture.Server.MessagesReceived);
        hold.Release();
        client.ExpectLines(["begin", .. Lines.Numbered(0, 10)]);
        client.SendLines(Lines.Numbered(0, Portion, from: Portion));
        Eventually.Equal(1 + (2 * Portion), () => fixture.Server.MessagesReceived);
        hold.Release(2);
        client.ExpectLines(Lines.Numbered(0, (2 * Portion) - 10, from: 10));
        fixture.AssertAtRest();
    }

    [Fact]
    public void What_ten_threads_send_on_one_session_is_not_torn_and_in_order_of_each()
    {
        const int Threads = 10;
        const int Messages = 2000;
        using var sessions = new BlockingCollection<Session>();
        using var fixture = new SessionFixture(1, (session, _) => sessions.Add(session));
        using TestClient client = fixture.Connect();
        client.SendLine("begin");
        Session session = sessions.Take(TestContext.Current.CancellationToken);
        using var finished = new CountdownEvent(Threads);
        for (int key = 0; key < Threads; key++)
        {
            int thread = key;
            new Thread(() =>
            {
                string padding = new((char)('a' + thread), 10 + thread * 7);
                for (int i = 0; i < Messages && session.SendLine($"{thread} {i} {padding}"); i++)
                {
                }

                if (finished.Signal())
                {
                    session.Close();
                }
            }).Start();
        }

        var next = new int[Threads];
        foreach (string line in client.ReceiveLinesToEnd())
        {
            string[] fields = line.Split(' ');
            int thread = int.Parse(fields[0], null);
            Assert.Equal($"{next[thread]++}", fields[1]);
            Assert.Equal(new string((char)('a' + thread), 10 + thread * 7), fields[2]);
        }

        Assert.All(next, static count => Assert.Equal(Messages, count));
        Assert.False(session.SendLine("late"));
    }

    [Fact]
    public void Sending_closing_and_aborting_from_many_threads_at_any_time_leaves_nothing()
    {
        const int Clients = 300;
        var sessions = new ConcurrentQueue<Session>();
        int opened = 0;
        int closed = 0;
        using var fixture = new SessionFixture(
            2,
            (session, message) =>
            {
                switch (message.Kind)
                {
                    case SessionEvent.Opened:
                        Interlocked.Increment(ref opened);
                        break;
                    case SessionEvent.Closed:
                        Interlocked.Increment(ref closed);
                        Assert.False(session.SendLine("after the end"));
                        session.Close();
                        break;
                    default:
                        session.SendLine("answer");
                        break;
                }
            },
            tellsOpened: true,
            tellsClosed: true,
            onArrival: sessions.Enqueue,
            with: static options => options with { WorkerCount = 2, LingerTimeout = TimeSpan.FromMilliseconds(200) });
        using var over = new CancellationTokenSource();
        List<Thread> disturbers = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            while (!over.IsCancellationRequested)
            {
                if (!sessions.TryDequeue(out Session? session))
                {
                    Thread.Yield();
                    continue;
                }

                int end = random.Next(20);
                for (int i = 0; i < end; i++)
                {
                    session.SendLine("unasked");
                }

                if (random.Next(2) == 0)
                {
                    session.Close();
                }
                else
                {
                    session.Abort();
                }

                sessions.Enqueue(session);
                session.SendLine("more");
            }
        }))];
        disturbers.ForEach(static thread => thread.Start());
        for (int i = 0; i < Clients; i++)
        {
            using TestClient client = fixture.Connect();
            try
            {
                client.SendLines(["one", "two", "three"]);
                client.ReceiveToEnd();
            }
            catch (System.Net.Sockets.SocketException)
            {
                // Aborted.
            }
        }

        Eventually.Equal(Clients, () => Volatile.Read(ref closed));
        over.Cancel();
        disturbers.ForEach(static thread => thread.Join());
        Assert.Equal(Clients, opened);
        Assert.All(sessions, static session => Assert.False(session.SendLine("late")));
        fixture.AssertAtRest();
    }

    [Fact]
    public void While_connections_move_to_and_fro_no_line_is_lost_or_late()
    {
        const int Clients = 40;
        const int Window = 20;
        const int LeastRounds = 30;
        using var release = new ManualResetEventSlim();
        using var fixture = new SessionFixture(
            3,
            (session, message) =>
            {
                if ((string)message.Data! == "block")
                {
                    release.Wait();
                }

                session.SendLine((string)message.Data!);
            },
            with: static options => options with { WorkerCount = 8 });

        // One thread is held up throughout: the others have to be woken for what comes.
        using TestClient blocker = fixture.Connect();
        blocker.SendLine("block");
        using var over = new CancellationTokenSource();
        var failures = new ConcurrentQueue<Exception>();
        int slowest = 0;
        int rounds = 0;
        List<Thread> threads = [.. Enumerable.Range(0, 4).Select(group => new Thread(() =>
        {
            List<TestClient> clients = [.. Enumerable.Range(0, Clients / 4).Select(_ => fixture.Connect())];
            try
            {
                for (int round = 0; round < LeastRounds || !over.IsCancellationRequested; round++)
                {
                    long before = Clock.Now;
                    clients.ForEach(client => client.SendLines(Lines.Numbered(group, Window, from: round * Window)));
                    clients.ForEach(client => client.ExpectLines(Lines.Numbered(group, Window, from: round * Window)));
                    int took = (int)(Clock.Now - before);
                    for (int seen = slowest; took > seen; seen = slowest)
                    {
                        Interlocked.CompareExchange(ref slowest, took, seen);
                    }

                    Interlocked.Increment(ref rounds);
                }
            }
            catch (Exception e)
            {
                failures.Enqueue(e);
            }

            clients.ForEach(static client => client.Dispose());
        }))];
        threads.ForEach(static thread => thread.Start());
        for (int i = 0; i < 8; i++)
        {
            int seen = Volatile.Read(ref rounds);
            fixture.Resize(i % 2 == 0 ? 1 : 8);
            Eventually.True(() => Volatile.Read(ref rounds) > seen + 4 || !failures.IsEmpty);
        }

        over.Cancel();
        threads.ForEach(static thread => thread.Join());
        Assert.Empty(failures);
        Assert.InRange(slowest, 0, 2000);
        release.Set();
        blocker.ExpectLine("block");
        fixture.AssertAtRest();
    }

    [Fact]
    public void An_answer_that_meets_the_end_of_its_worker_goes_out_by_the_next_one()
    {
        // Unasked, at any moment of the move: what was posted to a worker that has just ended must not wait for anything else to happen.
        const int Rounds = 60;
        Session? session = null;
        using var fixture = new SessionFixture(
            1,
            (_, _) => { },
            onArrival: arrived => Volatile.Write(ref session, arrived),
            with: static options => options with { WorkerCount = 2 });
        using TestClient other = fixture.Connect();
        using TestClient client = fixture.Connect();
        client.SendLine("begin");
        Eventually.True(() => Volatile.Read(ref session) is not null);
        using var over = new CancellationTokenSource();
        Exception? failure = null;
        int answers = 0;
        var sender = new Thread(() => failure = Record.Exception(() =>
        {
            while (!over.IsCancellationRequested)
            {
                session!.SendLine($"{answers}");
                client.ExpectLine($"{answers}");
                Interlocked.Increment(ref answers);
            }
        }));
        sender.Start();
        for (int i = 0; i < Rounds; i++)
        {
            // Off worker 1 as it ends, and back to a new one.
            int seen = Volatile.Read(ref answers);
            fixture.Resize(i % 2 == 0 ? 1 : 2);
            if (i % 2 != 0)
            {
                ConnectionInfo row = fixture.RowOf(client);
                Move(fixture, row.Id);
            }

            Eventually.True(() => Volatile.Read(ref answers) > seen + 1 || failure is not null);
        }

        over.Cancel();
        sender.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void A_session_that_moves_takes_along_what_was_told_to_a_worker_that_had_ended()
    {
        // The moment is too short to be met: so this is what it leaves behind, output that counts as posted.
        Session? session = null;
        using var fixture = new SessionFixture(
            1, (arrived, _) => session = arrived, with: static options => options with { WorkerCount = 2 });
        using TestClient client = fixture.Connect();
        client.SendLine("begin");
        Eventually.True(() => session is not null);
        fixture.AssertAtRest();
        PostedOf(session!) = true;
        Assert.True(session!.SendLine("answer"));
        Move(fixture, session!.Id);
        client.ExpectLine("answer");
        session.SendLine("another");
        client.ExpectLine("another");
    }

    [Fact]
    public void Lines_before_a_half_close_are_answered_and_then_comes_the_end()
    {
        const int Count = 500;
        using var fixture = new SessionFixture(2, static (session, message) =>
        {
            if (message.Data is "0-100")
            {
                Thread.Sleep(20);
            }

            session.SendLine((string)message.Data!);
        });
        using TestClient client = fixture.Connect();
        client.SendLines(Lines.Numbered(0, Count));
        client.EndSending();
        Assert.Equal(Lines.Numbered(0, Count), client.ReceiveLinesToEnd());
        Eventually.Equal(1, () => fixture.Server.Closed);
        Assert.Equal(CloseReason.PeerClosed, fixture.Server.GetClosed()[0].CloseReason);
    }

    private static void Move(SessionFixture fixture, long id) => Assert.True(fixture.Server.TryAct(
        new ConnectionRef(id), ConnectionAction.Move, Eventually.Patience, TestContext.Current.CancellationToken, out _, moveTo: 1));

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_posted")]
    private static extern ref bool PostedOf(Session session);

    private sealed class Ledger
    {
        internal int Busy;
        internal int Next;
    }
}
