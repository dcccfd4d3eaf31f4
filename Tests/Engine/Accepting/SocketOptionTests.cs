using C10kServer.Engine.Handlers;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What the sockets are told, and what of it is felt outside.</summary>
public class SocketOptionTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Accepted_sockets_have_NODELAY_unless_told_otherwise(bool noDelay)
    {
        int option = -1;
        var handler = new LambdaHandler
        {
            Opened = connection => option = Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpNoDelay),
        };
        using var fixture = new ServerFixture(handler, options => noDelay ? options : options with { NoDelay = false });
        using TestClient client = fixture.Connect();
        Eventually.Equal(1, () => handler.OpenedCount);
        Eventually.Equal(noDelay ? 1 : 0, () => option);
    }

    [Fact]
    public void A_small_answer_in_two_writes_does_not_wait_for_a_delayed_acknowledgement()
    {
        var handler = new LambdaHandler
        {
            Received = static (connection, data) =>
            {
                connection.Write(data);
                connection.Write(data);
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        var times = new List<double>();
        for (int i = 0; i < 200; i++)
        {
            var watch = Stopwatch.StartNew();
            client.Send([(byte)i]);
            Assert.Equal([(byte)i, (byte)i], client.Receive(2));
            times.Add(watch.Elapsed.TotalMilliseconds);
        }

        // The client's kernel begins by acknowledging at once; by then it waits 40 ms.
        times.Sort();
        Assert.InRange(times[100], 0, 20);
        Assert.InRange(times[150], 0, 38);
    }

    [Fact]
    public void Keep_alive_and_user_timeout_are_those_that_were_asked_for()
    {
        (int On, int Idle, int Interval, int Count, int UserTimeout) seen = default;
        var handler = new LambdaHandler
        {
            Opened = connection => seen = (
                Kernel.GetOption(connection.Fd, Sockets.SolSocket, Sockets.SoKeepAlive),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepIdle),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepInterval),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepCount),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpUserTimeout)),
            Received = static (connection, data) => connection.Write(data),
        };
        using var fixture = new ServerFixture(
            handler,
            static options => options with { KeepAliveTime = TimeSpan.FromSeconds(50), UserTimeout = TimeSpan.FromSeconds(9) });
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);
        Assert.Equal((1, 50, 10, 5, 9000), seen);
    }

    [Fact]
    public void The_longest_keep_alive_and_user_timeout_that_the_options_allow_are_taken_by_the_kernel()
    {
        (int Idle, int Interval, int UserTimeout) seen = default;
        var handler = new LambdaHandler
        {
            Opened = connection => seen = (
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepIdle),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepInterval),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpUserTimeout)),
            Received = static (connection, data) => connection.Write(data),
        };
        using var fixture = new ServerFixture(
            handler,
            static options => options with { KeepAliveTime = TimeSpan.FromSeconds(32_767), UserTimeout = TimeSpan.FromMilliseconds(int.MaxValue) });
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);
        Assert.Equal((32_767, 6553, int.MaxValue), seen);
    }

    [Fact]
    public void A_keep_alive_or_user_timeout_that_is_no_whole_unit_of_the_kernels_is_rounded_up_and_not_to_none()
    {
        (int Idle, int UserTimeout) seen = default;
        var handler = new LambdaHandler
        {
            Opened = connection => seen = (
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpKeepIdle),
                Kernel.GetOption(connection.Fd, Sockets.IpProtoTcp, Sockets.TcpUserTimeout)),
            Received = static (connection, data) => connection.Write(data),
        };
        using var fixture = new ServerFixture(
            handler,
            static options => options with { KeepAliveTime = TimeSpan.FromMilliseconds(1500), UserTimeout = TimeSpan.FromMicroseconds(300) });
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);
        Assert.Equal((2, 1), seen);
    }

    [Fact]
    public void A_time_that_is_too_long_for_the_kernel_is_refused_with_the_longest_one()
    {
        var options = new ServerOptions { HandlerFactory = BuiltInHandlers.Echo };
        var keepAlive = Assert.Throws<ArgumentOutOfRangeException>(
            () => new Server(options with { KeepAliveTime = TimeSpan.FromSeconds(32_768) }));
        Assert.Equal(nameof(ServerOptions.KeepAliveTime), keepAlive.ParamName);
        Assert.Contains("32,767 seconds", keepAlive.Message, StringComparison.Ordinal);
        var userTimeout = Assert.Throws<ArgumentOutOfRangeException>(
            () => new Server(options with { UserTimeout = TimeSpan.FromMilliseconds(1d + int.MaxValue) }));
        Assert.Equal(nameof(ServerOptions.UserTimeout), userTimeout.ParamName);
        Assert.Contains("2,147,483,647 milliseconds", userTimeout.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_thousand_connects_at_once_wait_in_the_backlog_and_not_for_a_retransmission()
    {
        const int Count = 1000;
        using var fixture = new ServerFixture(new HelloHandler());
        Assert.InRange(fixture.Server.EffectiveBacklog, Count, int.MaxValue);

        // Not accepted, so that the queue has to hold all of them, however fast the acceptor is.
        fixture.Server.Suspend();
        var clients = new List<TestClient>(Count);
        double slowest = 0;
        for (int i = 0; i < Count; i++)
        {
            var watch = Stopwatch.StartNew();
            clients.Add(fixture.Connect());
            slowest = Math.Max(slowest, watch.Elapsed.TotalMilliseconds);
        }

        // The first retransmission of a SYN is after 1 s.
        Assert.InRange(slowest, 0, 900);
        Assert.InRange(fixture.Server.Accepted, 0, 1);
        fixture.Server.Resume();
        clients.ForEach(static client => Assert.Equal(11, client.ReceiveToEnd().Length));
        clients.ForEach(static client => client.Dispose());
        Eventually.Equal(Count, () => fixture.Server.Closed);
        Assert.InRange(fixture.Server.PeakConnectionCount, 1, Count);
    }

    [Fact]
    public void A_backlog_that_the_kernel_cuts_is_reported_as_it_is_and_logged()
    {
        int most = int.Parse(File.ReadAllText("/proc/sys/net/core/somaxconn"), System.Globalization.CultureInfo.InvariantCulture);
        using (var fixture = new ServerFixture(new EchoHandler(), options => options with { Backlog = int.MaxValue }))
        {
            Assert.Equal(most, fixture.Server.EffectiveBacklog);
            EventRecord record = Assert.Single(fixture.Server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Warning);
            Assert.Contains("somaxconn", record.Message, StringComparison.Ordinal);
        }

        using (var fixture = new ServerFixture(new EchoHandler(), options => options with { Backlog = 7 }))
        {
            Assert.Equal(7, fixture.Server.EffectiveBacklog);
            Assert.DoesNotContain(fixture.Server.Options.Log.GetRecords(), static record => record.Level == EventLevel.Warning);
        }
    }
}
