using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class LiveOperationTests
{
    // With one worker its own loop accepts, with two the acceptor's.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Suspended_it_leaves_connects_in_the_queue_and_serves_those_it_has(int workers)
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = workers });
        using TestClient early = fixture.Connect();
        early.Echo(1, 100);
        fixture.Server.Suspend();
        Assert.Equal(ServerState.Suspended, fixture.Server.State);
        using TestClient late = fixture.Connect();
        late.Send(Keyed.Bytes(2, 100));
        for (int i = 0; i < 50; i++)
        {
            early.Echo(i, 1000);
        }

        Assert.Equal(0, late.Socket.Available);
        Assert.Equal(1, fixture.Server.Accepted);
        fixture.Server.Resume();
        Keyed.Verify(2, late.Receive(100));
        Assert.Equal(ServerState.Running, fixture.Server.State);
        Assert.Equal(2, fixture.Server.Accepted);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Suspended_with_connects_waiting_it_does_not_spin(int workers)
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = workers });
        fixture.Server.Suspend();
        using TestClient waiting = fixture.Connect();
        TimeSpan before = ProcessLedger.EngineCpuTime();
        Thread.Sleep(500);
        Assert.InRange((ProcessLedger.EngineCpuTime() - before).TotalMilliseconds, 0, 100);
        fixture.Server.Stop();
        waiting.AssertReset();
    }

    [Fact]
    public void Draining_it_refuses_new_clients_serves_the_old_ones_and_is_done_when_they_are()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        List<TestClient> clients = [.. Enumerable.Range(0, 20).Select(_ => fixture.Connect())];
        fixture.Server.BeginDrain();
        Assert.Equal(ServerState.Draining, fixture.Server.State);

        // Those in the kernel's queue at that moment were connected, and are served.
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, 1000);
        }

        Eventually.True(() => Record.Exception(() => fixture.Connect().Dispose()) is SocketException);
        Assert.False(fixture.Server.WaitUntilDrained(TimeSpan.FromMilliseconds(50), null, TestContext.Current.CancellationToken));
        var seen = new Watcher();
        var closer = new Thread(() =>
        {
            foreach (TestClient client in clients)
            {
                Eventually.True(() => seen.Last is > 0 and <= 20);
                client.Echo(1, 10);
                client.Dispose();
            }
        });
        closer.Start();
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, seen, TestContext.Current.CancellationToken));
        closer.Join();
        Assert.Equal(20, fixture.Server.Closed);
    }

    [Theory]
    [InlineData(DispatchMode.RoundRobin, 1)]
    [InlineData(DispatchMode.RoundRobin, 2)]
    [InlineData(DispatchMode.ReusePort, 2)]
    public void A_drain_is_not_over_before_those_who_wait_in_the_queue_are_served(DispatchMode dispatch, int workers)
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Dispatch = dispatch, WorkerCount = workers });
        fixture.Server.Suspend();
        List<TestClient> clients = [.. Enumerable.Range(0, 20).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Send(Keyed.Bytes(i, 1000));
            clients[i].EndSending();
        }

        Assert.Equal(0, fixture.Server.ConnectionCount);
        fixture.Server.BeginDrain();
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        fixture.Server.Stop();
        for (int i = 0; i < clients.Count; i++)
        {
            Keyed.Verify(i, clients[i].ReceiveToEnd());
            clients[i].Dispose();
        }
    }

    [Fact]
    public void A_drain_ends_at_its_deadline_or_when_it_is_cancelled()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient stays = fixture.Connect();
        stays.Echo(1, 1);
        fixture.Server.BeginDrain();
        Assert.False(fixture.Server.WaitUntilDrained(TimeSpan.FromMilliseconds(100), null, TestContext.Current.CancellationToken));
        using var cancel = new CancellationTokenSource(100);
        Assert.ThrowsAny<OperationCanceledException>(() => fixture.Server.WaitUntilDrained(Eventually.Patience, null, cancel.Token));
        Assert.Throws<InvalidOperationException>(fixture.Server.Resume);
    }

    [Fact]
    public void Resizing_under_load_loses_no_byte_and_no_connection()
    {
        const int Threads = 4;
        const int PerThread = 250;
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 8 });
        using var stop = new CancellationTokenSource();
        var failures = new List<Exception>();
        long rounds = 0;
        List<Thread> threads = [.. Enumerable.Range(0, Threads).Select(n => new Thread(() =>
        {
            List<TestClient> clients = [.. Enumerable.Range(0, PerThread).Select(_ => fixture.Connect())];
            try
            {
                for (int round = 0; !stop.IsCancellationRequested; round++)
                {
                    for (int i = 0; i < PerThread; i++)
                    {
                        clients[i].Send(Keyed.Bytes((n * PerThread) + i, 2000, round * 2000));
                    }

                    for (int i = 0; i < PerThread; i++)
                    {
                        Keyed.Verify((n * PerThread) + i, clients[i].Receive(2000), round * 2000);
                    }

                    Interlocked.Increment(ref rounds);
                }
            }
            catch (Exception e)
            {
                lock (failures)
                {
                    failures.Add(e);
                }
            }

            clients.ForEach(static client => client.Dispose());
        }))];
        threads.ForEach(static thread => thread.Start());
        Eventually.Equal(Threads * PerThread, () => fixture.Server.ConnectionCount);
        foreach (int count in new[] { 2, 16, 1, 8, 2, 16 })
        {
            long before = Volatile.Read(ref rounds);
            Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = count }));
            Assert.Equal(count, fixture.Server.GetWorkers().Count);
            Eventually.Equal(count + 1, ProcessLedger.EngineThreads);
            Eventually.True(() => Volatile.Read(ref rounds) > before + (2 * Threads) || failures.Count > 0);
            Assert.Equal(Threads * PerThread, fixture.Server.ConnectionCount);
            Eventually.Equal(Threads * PerThread, () => fixture.Server.GetWorkers().Sum(static worker => worker.ConnectionCount));
        }

        stop.Cancel();
        threads.ForEach(static thread => thread.Join());
        Assert.Empty(failures);
        Eventually.Equal(Threads * PerThread, () => fixture.Server.Closed);
        Assert.Equal(fixture.Server.BytesReceived, fixture.Server.BytesSent);
    }

    [Fact]
    public void A_second_worker_has_its_share_though_the_first_one_that_accepted_alone_is_blocked()
    {
        using var blocked = new ManualResetEventSlim();
        using var fixture = new ServerFixture(
            new LambdaHandler
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
            static options => options with { WorkerCount = 1 });
        using TestClient first = fixture.Connect();
        first.Send([1]);
        first.Receive(1);
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 2 }));
        fixture.Rows();
        first.Send([0]);
        Eventually.True(() => fixture.Server.GetWorkers()[0].State == WorkerState.Stalled);
        List<TestClient> others = [.. Enumerable.Range(0, 4).Select(_ => fixture.Connect())];
        try
        {
            Eventually.Equal(5, () => fixture.Server.Accepted);
            others.ForEach(static client => client.Send([1]));
            Eventually.Equal(2, () => others.Count(static client => client.Socket.Available > 0));
        }
        finally
        {
            blocked.Set();
        }

        others.ForEach(static client => client.Receive(1));
        others.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Connects_are_accepted_though_the_sockets_change_hands_while_they_wait_and_the_server_drains()
    {
        for (int round = 0; round < 20; round++)
        {
            using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 1 });
            fixture.Server.Suspend();
            List<TestClient> clients = [.. Enumerable.Range(0, 5).Select(_ => fixture.Connect())];
            clients.ForEach(static client => client.Send(Keyed.Bytes(7, 100)));
            clients.ForEach(static client => client.EndSending());
            fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 3 });
            fixture.Server.BeginDrain();
            Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
            Assert.Equal(5, fixture.Server.Accepted);
            clients.ForEach(static client => Keyed.Verify(7, client.ReceiveToEnd()));
            clients.ForEach(static client => client.Dispose());
        }
    }

    [Fact]
    public void A_moved_connection_takes_its_queued_output_and_half_read_requests_along()
    {
        const int Size = 3_000_000;
        var threads = new List<int>();
        ReadCallback line = null!;
        line = (connection, data, reason) =>
        {
            if (reason == CloseReason.None)
            {
                threads.Add(Environment.CurrentManagedThreadId);
                connection.Write(data);
                connection.ReadUntil("\n"u8, 1000, line);
            }
        };
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                connection.Write(Keyed.Bytes(5, Size));
                connection.ReadUntil("\n"u8, 1000, line);
            },
        };
        using var fixture = new ServerFixture(handler, options => options with { WorkerCount = 3, HighWaterMark = Size });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        client.Send("first h"u8);
        Eventually.True(() => fixture.Rows() is [{ BytesReceived: 7 }]);
        for (int i = 0; i < 6; i++)
        {
            ConnectionInfo row = Assert.Single(fixture.Rows());
            int to = (row.Worker + 1) % 3;
            Assert.True(Act(fixture, row, ConnectionAction.Move, out ConnectionInfo? after, to));
            Assert.Equal(to, after.Worker);
            Eventually.True(() => fixture.Rows() is [var moved] && moved.Worker == to && moved.SendQueue > 0);
        }

        client.Send("alf\nsecond\n"u8);
        Keyed.Verify(5, client.Receive(Size));
        Assert.Equal("first halfsecond"u8.ToArray(), client.Receive(16));
        Assert.Equal(1, handler.OpenedCount);
        Assert.Equal(0, handler.ClosedCount);
        Assert.Single(threads.Distinct());
    }

    [Fact]
    public void A_connection_that_is_always_on_the_move_is_always_found()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 4 });
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        using var stop = new CancellationTokenSource();
        var mover = new Thread(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                Act(fixture, row, ConnectionAction.Move, out _, i % 4);
            }
        });
        mover.Start();
        int missed = 0;
        for (int i = 0; i < 3000; i++)
        {
            missed += Act(fixture, row, ConnectionAction.Look, out _) ? 0 : 1;
            client.Echo(i, 50);
        }

        stop.Cancel();
        mover.Join();
        Assert.Equal(0, missed);
    }

    [Fact]
    public void Moving_to_a_worker_that_is_not_there_is_an_error()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        Assert.Throws<ArgumentOutOfRangeException>(() => fixture.Server.TryAct(
            new ConnectionRef(1), ConnectionAction.Move, Eventually.Patience, TestContext.Current.CancellationToken, out _, 2));
    }

    [Fact]
    public void A_paused_connection_receives_nothing_until_it_is_resumed_whatever_the_handler_does()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.True(Act(fixture, row, ConnectionAction.PauseReading, out ConnectionInfo? after));
        Assert.True(after.ReadPaused);
        client.Send(Keyed.Bytes(2, 1000));
        Assert.True(Act(fixture, row, ConnectionAction.Look, out after));
        Assert.Equal(10, after.BytesReceived);
        Assert.Equal(0, client.Socket.Available);
        Assert.True(Act(fixture, row, ConnectionAction.ResumeReading, out after));
        Assert.False(after.ReadPaused);
        Keyed.Verify(2, client.Receive(1000));
    }

    [Fact]
    public void Timeouts_and_limits_change_for_connections_that_are_open()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { MaxConnections = 1, IdleTimeout = TimeSpan.FromHours(1) }));
        using (TestClient second = fixture.Connect())
        {
            second.AssertReset();
        }

        client.Echo(2, 10);
        fixture.Server.Reconfigure(fixture.Server.Options with { MaxConnections = 2, IdleTimeout = TimeSpan.FromMilliseconds(100) });
        client.ReceiveToEnd();
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.IdleTimeout, handler.LastReason);
    }

    [Fact]
    public void What_cannot_change_while_it_runs_is_named_and_nothing_changes()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        ServerOptions before = fixture.Server.Options;
        Assert.Equal("Port", Assert.Throws<ArgumentException>(() => fixture.Server.Reconfigure(before with { Port = 1 })).ParamName);
        Assert.Equal("Addresses", Assert.Throws<ArgumentException>(() => fixture.Server.Reconfigure(before with { Addresses = [IPAddress.Any] })).ParamName);
        Assert.Equal("WorkerCount", Assert.Throws<ArgumentOutOfRangeException>(() => fixture.Server.Reconfigure(before with { WorkerCount = 0 })).ParamName);
        Assert.Throws<ServerStartException>(() => fixture.Server.Reconfigure(before with { MaxConnections = int.MaxValue }));
        Assert.Same(before, fixture.Server.Options);
        fixture.Server.Stop();
        Assert.Throws<InvalidOperationException>(() => fixture.Server.Reconfigure(before with { IdleTimeout = TimeSpan.FromSeconds(1) }));
    }

    [Fact]
    public void A_worker_held_up_by_a_handler_leaves_when_it_can()
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
        using TestClient first = fixture.Connect();
        using TestClient second = fixture.Connect();
        first.Send([1]);
        first.Receive(1);
        second.Send([0]);
        Eventually.True(() => fixture.Server.GetWorkers().Any(static worker => worker.State == WorkerState.Stalled));
        Assert.False(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
        first.Send([1]);
        first.Receive(1);
        blocked.Set();
        second.Receive(1);
        Eventually.Equal(2, ProcessLedger.EngineThreads);
        Eventually.Equal(2, () => fixture.Rows().Count(static row => row.Worker == 0));
        second.Send([7]);
        second.Receive(1);
    }

    [Fact]
    public void The_least_loaded_worker_gets_the_next_connection()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 3, Dispatch = DispatchMode.LeastLoaded });
        List<TestClient> clients = [];
        for (int i = 0; i < 30; i++)
        {
            clients.Add(fixture.Connect());
            clients[i].Echo(i, 1);
        }

        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.Equal(10, worker.ConnectionCount));

        // One worker loses all of its own; the next ten go there.
        foreach (ConnectionInfo row in fixture.Rows(new ConnectionQuery { Workers = [1] }))
        {
            Act(fixture, row, ConnectionAction.Reset, out _);
        }

        Eventually.Equal(20, () => fixture.Server.ConnectionCount);
        for (int i = 30; i < 40; i++)
        {
            clients.Add(fixture.Connect());
            clients[i].Echo(i, 1);
        }

        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.Equal(10, worker.ConnectionCount));
        clients.ForEach(static client => client.Dispose());
    }

    private static bool Act(
        ServerFixture fixture,
        ConnectionInfo row,
        ConnectionAction action,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ConnectionInfo? after,
        int moveTo = -1) =>
        fixture.Server.TryAct(new ConnectionRef(row.Id, row.Worker, row.Slot), action, Eventually.Patience, CancellationToken.None, out after, moveTo);

    private sealed class Watcher : IProgress<int>
    {
        private volatile int _last;

        internal int Last => _last;

        public void Report(int value) => _last = value;
    }
}
