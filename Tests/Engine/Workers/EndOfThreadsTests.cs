using System.Net;
using System.Reflection;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>How the engine's threads end where something stands in their way: a handler that blocks, a fault, what cannot be told.</summary>
public class EndOfThreadsTests
{
    [Fact]
    public void A_subscriber_whose_exception_cannot_be_described_is_counted_and_the_others_are_told()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        int told = 0;
        fixture.Server.Subscribe(static _ => throw new UnspeakableException());
        fixture.Server.Subscribe(_ => Interlocked.Increment(ref told));
        using (TestClient client = fixture.Connect())
        {
            client.Echo(1, 10);
        }

        Eventually.Equal(2, () => Volatile.Read(ref told));
        Assert.Equal(2, fixture.Server.EventErrors);
        Eventually.True(() => fixture.Server.LastError is { } text && text.Contains(nameof(UnspeakableException), StringComparison.Ordinal));
    }

    [Fact]
    public void A_fault_whose_exception_cannot_be_described_is_logged_by_its_type()
    {
        int descriptors = ProcessLedger.Descriptors();
        var server = new Server(new ServerOptions { WorkerCount = 2, HandlerFactory = static () => new EchoHandler() });
        server.Start();
        server.OnFault("a thread", new UnspeakableException());
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Equal(ServerState.Faulted, server.State);
        Assert.Contains(nameof(UnspeakableException), server.LastError, StringComparison.Ordinal);
        server.Stop();
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void The_body_of_a_thread_may_throw_what_it_likes_and_so_may_the_one_that_is_told()
    {
        var told = new List<Exception>();
        var thread = new EngineThread("c10k throws", static () => throw new UnspeakableException(), e =>
        {
            told.Add(e);
            throw new UnspeakableException();
        });
        thread.Start();
        Assert.True(thread.Join(Eventually.Patience));
        Assert.IsType<UnspeakableException>(Assert.Single(told));
    }

    [Theory]
    [InlineData(1, DispatchMode.RoundRobin)]
    [InlineData(1, DispatchMode.ReusePort)]
    [InlineData(3, DispatchMode.ReusePort)]
    public void A_stopped_server_stays_stopped_when_a_handler_that_blocked_returns_at_last(int workers, DispatchMode dispatch)
    {
        // Another server keeps the spare descriptors, because without them the worker that returns tries no accept on the silenced socket.
        using var another = new ServerFixture(new EchoHandler());
        const int ThreadsOfAnother = 3;
        int descriptors = ProcessLedger.Descriptors();
        using var blocked = new ManualResetEventSlim();
        var server = new Server(new ServerOptions
        {
            WorkerCount = workers,
            Dispatch = dispatch,
            HandlerFactory = () => new LambdaHandler { Received = (_, _) => blocked.Wait() },
        });
        server.Start();
        List<TestClient> clients = [.. Enumerable.Range(0, 30).Select(_ => new TestClient((IPEndPoint)server.EndPoints[0]))];
        try
        {
            clients.ForEach(static client => client.Send([0]));
            Eventually.True(() => server.GetWorkers().All(static worker => worker.State == WorkerState.Stalled));
            server.Stop();
            Assert.Equal(ServerState.Stopped, server.State);
        }
        finally
        {
            blocked.Set();
        }

        Eventually.Equal(ThreadsOfAnother, ProcessLedger.EngineThreads);
        clients.ForEach(static client => client.Dispose());
        Assert.Equal(ServerState.Stopped, server.State);
        Assert.DoesNotContain(server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Critical);
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void A_fault_that_comes_after_the_stop_is_logged_and_changes_nothing()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        fixture.Server.Stop();
        fixture.Server.OnFault("a thread", new InvalidOperationException("too late"));
        Assert.Equal(ServerState.Stopped, fixture.Server.State);
        Assert.Null(fixture.Server.LastError);
        Assert.Contains(fixture.Server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Critical);
    }

    [Fact]
    public void A_connection_that_comes_to_no_end_holds_up_neither_the_stop_nor_the_thread()
    {
        // As if the loop had lost it: closed, and in none of its lists. No handler can bring that about.
        FieldInfo state = typeof(Connection).GetField("_state", BindingFlags.Instance | BindingFlags.NonPublic)!;
        int descriptors = ProcessLedger.Descriptors();
        var server = new Server(new ServerOptions
        {
            WorkerCount = 1,
            HandlerFactory = () => new LambdaHandler
            {
                Received = (connection, data) =>
                {
                    connection.Write(data);
                    if (data[0] == 0)
                    {
                        state.SetValue(connection, ConnectionState.Closed);
                    }
                },
            },
        });
        server.Start();
        using var other = new TestClient((IPEndPoint)server.EndPoints[0]);
        other.Send([1]);
        other.Receive(1);
        using var lost = new TestClient((IPEndPoint)server.EndPoints[0]);
        lost.Send([0]);
        lost.Receive(1);
        server.Stop();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Equal(ServerState.Stopped, server.State);
        Assert.Equal(server.Accepted, server.Closed);
        Assert.Equal(0, server.ConnectionCount);
        Assert.Contains("by force", server.LastError, StringComparison.Ordinal);
        Assert.Contains(server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Error);
        Assert.Empty(other.ReceiveToEnd());
        lost.AssertReset();
        other.Dispose();
        lost.Dispose();
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void A_worker_that_is_leaving_ends_when_the_server_faults_and_does_not_spin()
    {
        using var blocked = new ManualResetEventSlim();
        int descriptors = ProcessLedger.Descriptors();
        var server = new Server(new ServerOptions
        {
            WorkerCount = 2,
            HandlerFactory = () => new LambdaHandler
            {
                Received = (connection, data) =>
                {
                    if (data[0] == 0)
                    {
                        blocked.Wait();
                    }

                    connection.Write(data);
                },
            },
        });
        server.Start();
        List<TestClient> clients = [.. Enumerable.Range(0, 4).Select(_ => new TestClient((IPEndPoint)server.EndPoints[0]))];
        foreach (TestClient client in clients)
        {
            client.Send([1]);
            client.Receive(1);
        }

        Worker leaving = server.Workers.Current[1];
        try
        {
            // The heir is over, and what has told it so did not reach the one that leaves.
            server.Workers.Current[0].Post(new Command(CommandKind.Stop));
            Eventually.True(() => !server.Workers.Current[0].IsAlive);
            clients.ForEach(static client => client.Send([0]));
            Eventually.True(() => leaving.ToInfo().State == WorkerState.Stalled);
            leaving.Post(new Command(CommandKind.Retire));
            TypeOfPool("_leaving").SetValue(server.Workers, Array.Empty<Worker>());
            TypeOfPool("_workers").SetValue(server.Workers, new[] { server.Workers.Current[0] });
            server.OnFault("a thread", new InvalidOperationException("as if"));
        }
        finally
        {
            blocked.Set();
        }

        Eventually.True(() => !leaving.IsAlive);
        clients.ForEach(static client => client.Dispose());
        server.Stop();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(descriptors);

        static FieldInfo TypeOfPool(string field) => typeof(WorkerPool).GetField(field, BindingFlags.Instance | BindingFlags.NonPublic)!;
    }

    [Fact]
    public void Connections_of_a_worker_that_is_leaving_are_seen_and_closed()
    {
        using var blocked = new ManualResetEventSlim();
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Received = (connection, data) =>
            {
                if (data[0] == 0)
                {
                    blocked.Wait();
                }

                connection.Write(data);
            },
        });
        List<TestClient> clients = [.. Enumerable.Range(0, 8).Select(_ => fixture.Connect())];
        foreach (TestClient client in clients)
        {
            client.Send([1]);
            client.Receive(1);
        }

        try
        {
            IReadOnlyList<ConnectionInfo> before = fixture.Rows();
            ConnectionInfo target = before.First(static row => row.Worker == 1);
            TestClient blocking = clients.First(client => client.Socket.LocalEndPoint!.Equals(target.RemoteEndPoint));
            ConnectionInfo other = before.Last(static row => row.Worker == 1);
            Assert.NotEqual(target.Id, other.Id);
            blocking.Send([0]);
            Eventually.True(() => fixture.Server.GetWorkers().Any(static worker => worker.State == WorkerState.Stalled));
            Assert.False(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
            Assert.Equal(2, fixture.Server.GetWorkers().Count);
            using (ConnectionWalk walk = fixture.Server.Walk(ConnectionQuery.All))
            {
                while (walk.TryTake(TimeSpan.FromMilliseconds(200), TestContext.Current.CancellationToken, out _))
                {
                }

                Assert.Equal(1, Assert.Single(walk.SilentWorkers));
            }

            // A second worker with the id of the first is another one.
            Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 2 }));
            Assert.Throws<TimeoutException>(() => fixture.Server.TryAct(
                new ConnectionRef(other.Id, 1), ConnectionAction.Close, TimeSpan.FromMilliseconds(200), TestContext.Current.CancellationToken, out _));
            ConnectionInfo? after = null;
            var closer = new Thread(() => fixture.Server.TryAct(
                new ConnectionRef(target.Id, 1), ConnectionAction.Reset, Eventually.Patience, TestContext.Current.CancellationToken, out after));
            closer.Start();
            using ConnectionWalk all = fixture.Server.Walk(ConnectionQuery.All);
            blocked.Set();
            closer.Join();
            Assert.Equal(target.Id, after!.Id);
            int rows = 0;
            while (all.TryTake(Eventually.Patience, TestContext.Current.CancellationToken, out IReadOnlyList<ConnectionInfo>? portion))
            {
                rows += portion.Count;
            }

            Assert.InRange(rows, 6, 8);
            Eventually.Equal(2, () => fixture.Server.GetWorkers().Count);
        }
        finally
        {
            blocked.Set();
            clients.ForEach(static client => client.Dispose());
        }
    }

    [Fact]
    public void An_engine_thread_that_asks_its_own_server_is_refused_at_once_and_may_ask_another()
    {
        Server? own = null;
        Server? another = null;
        var thrown = new List<Exception?>();

        // A thread that waited for itself would wait for as long, and get another exception or none.
        var patience = TimeSpan.FromSeconds(1);
        bool found = true;
        using var asked = new ServerFixture(new EchoHandler());
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Received = (connection, data) =>
            {
                var self = new ConnectionRef(connection.Id);
                thrown.Add(Record.Exception(() => own!.TryAct(self, ConnectionAction.Look, patience, CancellationToken.None, out _)));
                thrown.Add(Record.Exception(() => own!.TrySend(self, [1], patience, CancellationToken.None, out _)));
                thrown.Add(Record.Exception(() => own!.Walk(ConnectionQuery.All)));
                thrown.Add(Record.Exception(() =>
                {
                    using ConnectionWalk walk = own!.Broadcast(ConnectionQuery.All, [1]);
                    walk.TryTake(patience, CancellationToken.None, out _);
                }));
                found = another!.TryAct(self, ConnectionAction.Look, Eventually.Patience, CancellationToken.None, out _);
                connection.Close();
            },
        });
        (own, another) = (fixture.Server, asked.Server);
        using TestClient client = fixture.Connect();
        client.Send([0]);
        client.ReceiveToEnd();

        // Both before a fixture's end, because each fixture looks whether a thread is left in the process.
        own.Stop();
        another.Stop();
        Assert.All(thrown, static e => Assert.IsType<InvalidOperationException>(e));
        Assert.Equal(4, thrown.Count);
        Assert.False(found);
    }

    [Fact]
    public void An_observer_does_not_keep_a_server_that_has_ended()
    {
        using var observer = new Observer();
        WeakReference[] servers = [.. Enumerable.Range(0, 5).Select(_ => StartAndStop(observer))];
        while (observer.TryTake(TimeSpan.Zero, TestContext.Current.CancellationToken, out _))
        {
        }

        Eventually.True(() =>
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return servers.Count(static server => server.IsAlive) <= 1;
        });
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference StartAndStop(Observer observer)
    {
        using var server = new Server(new ServerOptions { WorkerCount = 1, HandlerFactory = static () => new EchoHandler() });
        server.Start();
        observer.Observe(server);
        server.Stop();
        return new WeakReference(server);
    }

    private sealed class UnspeakableException : Exception
    {
        public override string Message => throw new InvalidOperationException("Message");

        public override string ToString() => throw new InvalidOperationException("ToString");
    }
}
