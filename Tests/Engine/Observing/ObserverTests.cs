using System.Collections.Concurrent;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class ObserverTests
{
    [Fact]
    public void Each_connection_is_seen_to_open_and_then_to_close_with_its_reason_and_its_bytes()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using var observer = new Observer();
        Assert.True(observer.Observe(fixture.Server));
        for (int i = 0; i < 100; i++)
        {
            TestClient client = fixture.Connect();
            client.Echo(i, 1 + i);
            if (i % 2 == 0)
            {
                client.Reset();
            }
            else
            {
                client.Dispose();
            }
        }

        var opened = new Dictionary<long, ConnectionInfo>();
        int[] reasons = new int[Enum.GetValues<CloseReason>().Length];
        for (int closed = 0; closed < 100;)
        {
            ServerEvent happened = Take(observer);
            ConnectionInfo row = happened.Connection!;
            Assert.Same(fixture.Server, happened.Server);
            if (happened.Kind == ServerEventKind.ConnectionOpened)
            {
                Assert.Equal(ConnectionState.Open, row.State);
                Assert.Equal(CloseReason.None, row.CloseReason);
                Assert.Equal(0, row.BytesReceived);
                opened.Add(row.Id, row);
            }
            else
            {
                Assert.Equal(ServerEventKind.ConnectionClosed, happened.Kind);
                Assert.True(opened.Remove(row.Id, out ConnectionInfo? before));
                Assert.Equal(before.RemoteEndPoint, row.RemoteEndPoint);
                Assert.Equal(ConnectionState.Closed, row.State);
                Assert.InRange(row.BytesReceived, 1, 100);
                Assert.Equal(row.BytesReceived, row.BytesSent);
                Assert.True(fixture.Server.Closed > closed, "it is told before it is counted");
                reasons[(int)row.CloseReason]++;
                closed++;
            }
        }

        Assert.Empty(opened);
        Assert.Equal(50, reasons[(int)CloseReason.Reset]);
        Assert.Equal(50, reasons[(int)CloseReason.PeerClosed]);
        Assert.Equal(0, observer.Lost);
    }

    [Fact]
    public void What_does_not_fit_is_dropped_and_counted_and_the_end_is_told_all_the_same()
    {
        using var observer = new Observer(capacity: 10);
        using (var fixture = new ServerFixture(new EchoHandler()))
        {
            observer.Observe(fixture.Server);
            for (int i = 0; i < 50; i++)
            {
                using TestClient client = fixture.Connect();
                client.Echo(i, 10);
            }

            Eventually.Equal(50, () => fixture.Server.Closed);
            Eventually.Equal(90, () => observer.Lost);
        }

        for (int i = 0; i < 10; i++)
        {
            Assert.NotNull(Take(observer).Connection);
        }

        ServerEvent stopped = Take(observer);
        Assert.Equal((ServerEventKind.StateChanged, ServerState.Running, ServerState.Stopped), (stopped.Kind, stopped.Before, stopped.State));
        Assert.Equal(ServerEventKind.Ended, Take(observer).Kind);
        Assert.False(observer.TryTake(TimeSpan.Zero, TestContext.Current.CancellationToken, out _));
    }

    [Fact]
    public void One_observer_sees_several_servers_and_none_that_is_over()
    {
        using var one = new ServerFixture(new EchoHandler());
        using var two = new ServerFixture(new EchoHandler());
        using var observer = new Observer();
        observer.Observe(one.Server);
        observer.Observe(two.Server);
        using TestClient first = one.Connect();
        Assert.Same(one.Server, Take(observer).Server);
        using TestClient second = two.Connect();
        Assert.Same(two.Server, Take(observer).Server);
        two.Server.Stop();
        while (Take(observer) is not { Kind: ServerEventKind.Ended })
        {
        }

        Assert.False(observer.Observe(two.Server));

        // Each fixture looks whether a thread is left in the process.
        one.Server.Stop();
    }

    [Fact]
    public void Each_change_of_state_is_told_and_what_changes_nothing_is_not()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        var seen = new ConcurrentQueue<(ServerState, ServerState)>();
        fixture.Server.Subscribe(happened =>
        {
            if (happened.Kind == ServerEventKind.StateChanged)
            {
                seen.Enqueue((happened.Before, happened.State));
            }
        });
        fixture.Server.Suspend();
        fixture.Server.Suspend();
        fixture.Server.Resume();
        fixture.Server.Resume();
        fixture.Server.BeginDrain();
        fixture.Server.BeginDrain();
        fixture.Server.Stop();
        fixture.Server.Stop();
        Assert.Equal(
            [
                (ServerState.Running, ServerState.Suspended),
                (ServerState.Suspended, ServerState.Running),
                (ServerState.Running, ServerState.Draining),
                (ServerState.Draining, ServerState.Stopped),
            ],
            seen);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
    }

    [Fact]
    public void A_fault_is_told_and_then_the_connections_that_it_closes()
    {
        // As if a thread of the engine had failed, which no handler can bring about.
        using var observer = new Observer();
        var server = new Server(new ServerOptions { Name = "test", WorkerCount = 1, HandlerFactory = static () => new EchoHandler() });
        server.Start();
        observer.Observe(server);
        using var client = new TestClient((System.Net.IPEndPoint)server.EndPoints[0]);
        client.Echo(1, 10);
        Assert.Equal(ServerEventKind.ConnectionOpened, Take(observer).Kind);
        server.OnFault("a thread", new InvalidOperationException("as if"));
        List<ServerEvent> seen = [Take(observer), Take(observer)];
        Assert.Single(seen, static happened => happened is { Kind: ServerEventKind.StateChanged, Before: ServerState.Running, State: ServerState.Faulted });
        Assert.Single(seen, static happened => happened is { Kind: ServerEventKind.ConnectionClosed, Connection.CloseReason: CloseReason.ServerStopped });
        server.Stop();
        Assert.Equal(ServerEventKind.Ended, Take(observer).Kind);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
    }

    [Fact]
    public void A_consumer_that_waits_is_let_go_by_cancelling_and_by_the_end()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using var observer = new Observer();
        observer.Observe(fixture.Server);
        using var cancel = new CancellationTokenSource(50);
        var watch = Stopwatch.StartNew();
        Assert.ThrowsAny<OperationCanceledException>(() => observer.TryTake(Eventually.Patience, cancel.Token, out _));
        Assert.False(observer.TryTake(TimeSpan.FromMilliseconds(50), TestContext.Current.CancellationToken, out _));
        var disposer = new Thread(() =>
        {
            Thread.Sleep(50);
            observer.Dispose();
        });
        disposer.Start();
        Assert.False(observer.TryTake(Eventually.Patience, TestContext.Current.CancellationToken, out _));
        disposer.Join();
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, Eventually.Patience / 2);
    }

    [Fact]
    public void Subscribers_are_told_on_a_thread_of_their_own_which_lasts_from_the_first_to_the_last()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using (TestClient unseen = fixture.Connect())
        {
            unseen.Echo(1, 10);
        }

        Eventually.Equal(1, () => fixture.Server.Closed);
        int before = ProcessLedger.EngineThreads();
        var names = new ConcurrentQueue<string?>();
        var first = new ConcurrentQueue<ServerEvent>();
        var second = new ConcurrentQueue<ServerEvent>();
        Action<ServerEvent> one = happened =>
        {
            names.Enqueue($"{Thread.CurrentThread.Name} {Thread.CurrentThread.IsBackground}");
            first.Enqueue(happened);
        };
        Action<ServerEvent> two = second.Enqueue;
        Assert.Equal(before, ProcessLedger.EngineThreads());
        fixture.Server.Subscribe(one);
        fixture.Server.Subscribe(two);
        Eventually.Equal(before + 1, ProcessLedger.EngineThreads);
        Visit(fixture, 1);
        Eventually.Equal(2, () => first.Count);
        Eventually.Equal(2, () => second.Count);
        fixture.Server.Unsubscribe(one);
        Visit(fixture, 2);
        Eventually.Equal(4, () => second.Count);
        Assert.Equal(2, first.Count);
        fixture.Server.Unsubscribe(two);
        Eventually.Equal(before, ProcessLedger.EngineThreads);
        Visit(fixture, 3);
        fixture.Server.Subscribe(two);
        Visit(fixture, 4);
        Eventually.Equal(6, () => second.Count);
        Assert.All(names, static name => Assert.Equal("c10k test events True", name));
    }

    [Fact]
    public void A_subscriber_that_throws_is_logged_and_counted_and_the_others_are_told()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        int told = 0;
        fixture.Server.Subscribe(static _ => throw new InvalidOperationException("a subscriber's own"));
        fixture.Server.Subscribe(_ => Interlocked.Increment(ref told));
        fixture.Server.Subscribe(static _ => throw new InvalidOperationException("a subscriber's own"));
        for (int i = 0; i < 200; i++)
        {
            Visit(fixture, i);
        }

        Eventually.Equal(400, () => Volatile.Read(ref told));
        Eventually.Equal(800, () => fixture.Server.EventErrors);
        Assert.Equal("a subscriber's own", fixture.Server.LastError);
        Assert.Equal(ServerState.Running, fixture.Server.State);
        IReadOnlyList<EventRecord> records = [.. fixture.Server.Options.Log.GetRecords().Where(static record => record.Name == "SubscriberFailed")];
        Assert.InRange(records.Count, 1, 100);
        Assert.All(records, static record => Assert.Equal(EventLevel.Error, record.Level));
        Assert.Contains("a subscriber's own", records[0].Exception);
    }

    [Fact]
    public void A_subscriber_that_blocks_holds_up_neither_traffic_nor_the_stop_and_loses_what_does_not_fit()
    {
        const int Visits = (Observer.DefaultCapacity / 2) + 500;
        using var blocked = new ManualResetEventSlim();
        using var fixture = new ServerFixture(new EchoHandler());
        int told = 0;
        fixture.Server.Subscribe(_ =>
        {
            Interlocked.Increment(ref told);
            blocked.Wait();
        });
        using TestClient bystander = fixture.Connect();
        bystander.Echo(1, 10);
        Eventually.Equal(1, () => Volatile.Read(ref told));
        for (int i = 0; i < Visits; i++)
        {
            fixture.Connect().Reset();
        }

        bystander.Echo(2, 1000);

        // One event is with the subscriber, and the queue is full.
        Eventually.Equal((2 * Visits) - Observer.DefaultCapacity, () => fixture.Server.EventsLost);
        Assert.Equal(1, Volatile.Read(ref told));
        var watch = Stopwatch.StartNew();
        fixture.Server.Stop();
        Assert.InRange(watch.Ran.TotalMilliseconds, 0, 1500);
        Eventually.Equal(1, ProcessLedger.EngineThreads);
        blocked.Set();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Equal(Observer.DefaultCapacity + 2, Volatile.Read(ref told));
        Assert.Contains(fixture.Server.Options.Log.GetRecords(), static record => record.Name == "EventsLost");
    }

    [Fact]
    public void A_subscriber_may_stop_its_server_and_subscribe_and_unsubscribe()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        Action<ServerEvent> once = null!;
        int told = 0;
        once = happened =>
        {
            fixture.Server.Unsubscribe(once);
            fixture.Server.Subscribe(_ => Interlocked.Increment(ref told));
            fixture.Server.Stop();
        };
        fixture.Server.Subscribe(once);
        using TestClient client = fixture.Connect();
        Eventually.Equal(ServerState.Stopped, () => fixture.Server.State);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Equal(0, fixture.Server.EventErrors);
    }

    [Fact]
    public void Subscribing_and_unsubscribing_all_the_time_while_connections_come_and_go_leaves_no_thread()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        int before = ProcessLedger.EngineThreads();
        using var stop = new CancellationTokenSource();
        List<Thread> threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            Action<ServerEvent> nothing = static _ => { };
            while (!stop.IsCancellationRequested)
            {
                fixture.Server.Subscribe(nothing);
                fixture.Server.Unsubscribe(nothing);
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        for (int i = 0; i < 300; i++)
        {
            Visit(fixture, i);
        }

        stop.Cancel();
        threads.ForEach(static thread => thread.Join());
        Eventually.Equal(before, ProcessLedger.EngineThreads);
        Assert.Equal(0, fixture.Server.EventErrors);
    }

    private static void Visit(ServerFixture fixture, int key)
    {
        long closed = fixture.Server.Closed;
        using (TestClient client = fixture.Connect())
        {
            client.Echo(key, 10);
        }

        Eventually.True(() => fixture.Server.Closed > closed);
    }

    private static ServerEvent Take(Observer observer)
    {
        Assert.True(observer.TryTake(Eventually.Patience, TestContext.Current.CancellationToken, out ServerEvent? happened));
        return happened;
    }
}
