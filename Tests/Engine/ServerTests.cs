using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class ServerTests
{
    [Fact]
    public void Started_and_stopped_idle_it_leaves_nothing_and_returns_at_once()
    {
        var watch = Stopwatch.StartNew();
        for (int i = 0; i < 20; i++)
        {
            using var fixture = new ServerFixture(new EchoHandler());
            Assert.Equal(ServerState.Running, fixture.Server.State);
            Eventually.Equal(3, ProcessLedger.EngineThreads);
            Assert.InRange(fixture.Server.Port, 1, 65535);
        }

        Assert.True(watch.Ran < TimeSpan.FromSeconds(10), $"20 starts and stops took {watch.Elapsed}");
    }

    [Fact]
    public void Stopping_closes_every_connection_in_order_and_keeps_the_counters()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        List<TestClient> clients = [.. Enumerable.Range(0, 50).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, 1000);
        }

        // Unread input at the server must not turn its end into a reset.
        clients.ForEach(static client => client.Send([1, 2, 3]));
        fixture.Server.Stop();
        clients.ForEach(static client => client.ReceiveToEnd());
        Assert.Equal(50, handler.ClosedCount);
        Assert.Equal(CloseReason.ServerStopped, handler.LastReason);
        Assert.Equal(50, fixture.Server.Accepted);
        Assert.Equal(50, fixture.Server.Closed);
        Assert.Equal(0, fixture.Server.ConnectionCount);
        Assert.Equal(50, fixture.Server.PeakConnectionCount);
        Assert.Equal(50 * 1003, fixture.Server.BytesReceived);
        TimeSpan uptime = fixture.Server.Uptime;
        Assert.Equal(uptime, fixture.Server.Uptime);
        fixture.Server.Stop();
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void The_counters_tell_what_is_open_what_was_at_most_and_what_is_over()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        for (int round = 1; round <= 10; round++)
        {
            List<TestClient> clients = [.. Enumerable.Range(0, 5).Select(_ => fixture.Connect())];
            clients.ForEach(static client => client.Echo(1, 10));
            Assert.Equal(5, fixture.Server.ConnectionCount);
            clients[0].Reset();
            clients.ForEach(static client => client.Dispose());
            Eventually.Equal(0, () => fixture.Server.ConnectionCount);
            Assert.Equal(5 * round, fixture.Server.Accepted);
            Assert.Equal(5 * round, fixture.Server.Closed);
            Assert.Equal(5, fixture.Server.PeakConnectionCount);
        }

        List<TestClient> more = [.. Enumerable.Range(0, 7).Select(_ => fixture.Connect())];
        more.ForEach(static client => client.Echo(1, 10));
        Assert.Equal(7, fixture.Server.PeakConnectionCount);
        more.ForEach(static client => client.Dispose());
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        using TestClient last = fixture.Connect();
        last.Echo(1, 10);
        Assert.Equal(7, fixture.Server.PeakConnectionCount);
    }

    [Fact]
    public void Stopping_with_resets_resets()
    {
        var handler = new LambdaHandler();
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        Eventually.Equal(1, () => handler.OpenedCount);
        fixture.Server.Stop(reset: true);
        client.AssertReset();
        Assert.Equal(1, handler.ClosedCount);
    }

    [Fact]
    public void Stopping_while_a_burst_arrives_answers_or_refuses_each_client()
    {
        var fixture = new ServerFixture(new EchoHandler());
        using var stop = new ManualResetEventSlim();
        int answered = 0;
        int refused = 0;
        List<Thread> threads = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            while (!stop.IsSet)
            {
                try
                {
                    using var client = new TestClient(fixture.EndPoint);
                    client.Send([42]);
                    Interlocked.Add(ref answered, client.Socket.Receive(new byte[1]));
                }
                catch (SocketException)
                {
                    Interlocked.Increment(ref refused);
                }
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        Eventually.True(() => Volatile.Read(ref answered) > 100);
        fixture.Server.Stop();
        Eventually.True(() => Volatile.Read(ref refused) > 0);
        stop.Set();
        threads.ForEach(static thread => thread.Join());
        fixture.Dispose();
    }

    [Fact]
    public void A_port_in_use_is_refused_and_nothing_is_left()
    {
        using var first = new ServerFixture(new EchoHandler());
        int before = ProcessLedger.Descriptors();
        var second = new Server(new ServerOptions { Port = first.Server.Port, HandlerFactory = static () => new EchoHandler() });
        var e = Assert.Throws<ServerStartException>(second.Start);
        Assert.Equal(StartFailure.PortInUse, e.Failure);
        Assert.Contains(first.Server.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), e.Message, StringComparison.Ordinal);
        Assert.Equal(ServerState.Created, second.State);
        Assert.Equal(before, ProcessLedger.Descriptors());
        second.Stop();
    }

    [Fact]
    public void A_privileged_port_is_refused_to_who_may_not_have_it_and_nothing_is_left()
    {
        // Everything below is privileged; a container may have none at all.
        int port = int.Parse(File.ReadAllText("/proc/sys/net/ipv4/ip_unprivileged_port_start"), System.Globalization.CultureInfo.InvariantCulture) - 1;
        Assert.SkipWhen(port < 1, "no port is privileged here (net.ipv4.ip_unprivileged_port_start)");
        int before = ProcessLedger.Descriptors();
        Kernel.WithoutCapability(Kernel.CapNetBindService, () =>
        {
            using var server = new Server(new ServerOptions { Port = port, HandlerFactory = static () => new EchoHandler() });
            var e = Assert.Throws<ServerStartException>(server.Start);
            Assert.Equal(StartFailure.PortAccessDenied, e.Failure);
            Assert.Contains("CAP_NET_BIND_SERVICE", e.Message, StringComparison.Ordinal);
        });
        Assert.Equal(before, ProcessLedger.Descriptors());
    }

    [Theory]
    [InlineData("192.0.2.1")]
    [InlineData("2001:db8::1")]
    public void An_address_that_is_not_ours_is_refused_and_nothing_is_left(string address)
    {
        int before = ProcessLedger.Descriptors();
        var server = new Server(new ServerOptions { Addresses = [IPAddress.Loopback, IPAddress.Parse(address)], HandlerFactory = static () => new EchoHandler() });
        var e = Assert.Throws<ServerStartException>(server.Start);
        Assert.Equal(StartFailure.AddressNotAvailable, e.Failure);
        Assert.Equal(before, ProcessLedger.Descriptors());
    }

    [Fact]
    public void More_connections_than_descriptors_are_refused_at_the_start()
    {
        var server = new Server(new ServerOptions { MaxConnections = int.MaxValue, HandlerFactory = static () => new EchoHandler() });
        var e = Assert.Throws<ServerStartException>(server.Start);
        Assert.Equal(StartFailure.DescriptorLimit, e.Failure);
        Assert.Contains("ulimit", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void It_restarts_on_a_port_whose_connections_are_in_TIME_WAIT()
    {
        int port;
        using (var first = new ServerFixture(new HelloHandler()))
        {
            port = first.Server.Port;
            using TestClient client = first.Connect();
            client.ReceiveToEnd();
        }

        using var second = new ServerFixture(new EchoHandler(), options => options with { Port = port });
        using TestClient again = second.Connect();
        again.Echo(1, 10);
    }

    [Fact]
    public void It_listens_on_several_addresses_with_one_port()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [IPAddress.Loopback, IPAddress.IPv6Loopback] });
        Assert.Equal(2, fixture.Server.EndPoints.Count);
        Assert.Single(fixture.Server.EndPoints.Cast<IPEndPoint>().Select(static endPoint => endPoint.Port).Distinct());
        foreach (IPEndPoint endPoint in fixture.Server.EndPoints.Cast<IPEndPoint>())
        {
            using var client = new TestClient(endPoint);
            client.Echo(1, 1000);
            ConnectionInfo row = Assert.Single(fixture.Rows(), row => row.State == ConnectionState.Open);
            Assert.Equal(endPoint, row.LocalEndPoint);
            Assert.Equal(client.Socket.LocalEndPoint, row.RemoteEndPoint);
            client.Dispose();
            Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        }
    }

    [Fact]
    public void On_a_wildcard_address_each_row_has_the_address_that_the_client_used()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [IPAddress.Any] });
        using var client = new TestClient(new IPEndPoint(IPAddress.Parse("127.0.0.9"), fixture.Server.Port));
        client.Echo(1, 10);
        Assert.Equal(client.Socket.RemoteEndPoint, Assert.Single(fixture.Rows()).LocalEndPoint);
    }

    [Fact]
    public void Round_robin_spreads_connections_evenly()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 3 });
        List<TestClient> clients = [.. Enumerable.Range(0, 100).Select(_ => fixture.Connect())];
        Eventually.Equal(100, () => fixture.Server.GetWorkers().Sum(static worker => worker.ConnectionCount));
        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.InRange(worker.ConnectionCount, 33, 34));
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Over_the_connection_limit_a_client_is_reset_and_counted_and_later_ones_are_served()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { MaxConnections = 3 });
        List<TestClient> clients = [.. Enumerable.Range(0, 3).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(1, 10));
        using (TestClient fourth = fixture.Connect())
        {
            fourth.AssertReset();
        }

        Eventually.Equal(1, () => fixture.Server.Rejected);
        Assert.Equal(3, fixture.Server.Accepted);
        clients[0].Dispose();
        Eventually.Equal(2, () => fixture.Server.ConnectionCount);
        using TestClient fifth = fixture.Connect();
        fifth.Echo(5, 10);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void It_cannot_be_stopped_from_a_handler()
    {
        Server? server = null;
        Exception? thrown = null;
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Received = (connection, data) =>
            {
                thrown = Record.Exception(() => server!.Stop());
                connection.Write(data);
            },
        });
        server = fixture.Server;
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);
        Assert.IsType<InvalidOperationException>(thrown);
    }

    [Fact]
    public void A_fault_of_the_engine_closes_the_connections_and_shows_in_state_and_log()
    {
        int descriptors = ProcessLedger.Descriptors();
        var server = new Server(new ServerOptions { WorkerCount = 2, HandlerFactory = static () => new EchoHandler() });
        server.Start();
        List<TestClient> clients = [.. Enumerable.Range(0, 4).Select(_ => new TestClient((IPEndPoint)server.EndPoints[0]))];
        clients.ForEach(static client => client.Echo(1, 10));

        // A command with no subject is a mistake of the engine's own.
        server.Workers.Current[0].Post(new Command(CommandKind.Walk));
        clients.ForEach(static client => client.ReceiveToEnd());
        clients.ForEach(static client => client.Dispose());
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Equal(ServerState.Faulted, server.State);
        Assert.NotNull(server.LastError);
        Assert.Contains(server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Critical);
        server.Stop();
        Assert.Equal(4, server.Closed);
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Theory]
    [InlineData(nameof(ServerOptions.Port), 65536)]
    [InlineData(nameof(ServerOptions.Port), -1)]
    [InlineData(nameof(ServerOptions.WorkerCount), 0)]
    [InlineData(nameof(ServerOptions.WorkerCount), 257)]
    [InlineData(nameof(ServerOptions.Backlog), 0)]
    [InlineData(nameof(ServerOptions.MaxConnections), -1)]
    [InlineData(nameof(ServerOptions.HighWaterMark), 0)]
    [InlineData(nameof(ServerOptions.MaxSendQueue), 100)]
    public void A_limit_out_of_range_is_named(string option, int value)
    {
        var good = new ServerOptions { HandlerFactory = static () => new EchoHandler() };
        ServerOptions bad = option switch
        {
            nameof(ServerOptions.Port) => good with { Port = value },
            nameof(ServerOptions.WorkerCount) => good with { WorkerCount = value },
            nameof(ServerOptions.Backlog) => good with { Backlog = value },
            nameof(ServerOptions.MaxConnections) => good with { MaxConnections = value },
            nameof(ServerOptions.HighWaterMark) => good with { HighWaterMark = value },
            _ => good with { MaxSendQueue = value },
        };
        Assert.Equal(option, Assert.Throws<ArgumentOutOfRangeException>(() => new Server(bad)).ParamName);
    }

    [Fact]
    public void A_timeout_out_of_range_is_named()
    {
        var good = new ServerOptions { HandlerFactory = static () => new EchoHandler() };
        Assert.Equal("IdleTimeout", Assert.Throws<ArgumentOutOfRangeException>(() => new Server(good with { IdleTimeout = TimeSpan.FromSeconds(-1) })).ParamName);
        Assert.Equal("LingerTimeout", Assert.Throws<ArgumentOutOfRangeException>(() => new Server(good with { LingerTimeout = TimeSpan.Zero })).ParamName);
        Assert.Equal("WriteTimeout", Assert.Throws<ArgumentOutOfRangeException>(() => new Server(good with { WriteTimeout = TimeSpan.MaxValue })).ParamName);
        Assert.Equal("Addresses", Assert.Throws<ArgumentException>(() => new Server(good with { Addresses = [] })).ParamName);
    }
}
