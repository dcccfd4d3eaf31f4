using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class LimitTests
{
    [Fact]
    public void One_address_gets_no_more_than_its_share_and_others_theirs()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { MaxConnectionsPerAddress = 3 });
        List<TestClient> mine = [.. Enumerable.Range(0, 3).Select(_ => From("127.0.0.2", fixture))];
        mine.ForEach(static client => client.Echo(1, 10));
        using (TestClient fourth = From("127.0.0.2", fixture))
        {
            fourth.AssertReset();
        }

        Eventually.Equal(1, () => fixture.Server.Rejected);
        using TestClient other = From("127.0.0.3", fixture);
        other.Echo(2, 10);
        mine[0].Dispose();
        Eventually.Equal(3, () => fixture.Server.ConnectionCount);
        using TestClient again = From("127.0.0.2", fixture);
        again.Echo(3, 10);
        mine.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void The_share_of_an_address_comes_back_over_thousands_of_connections()
    {
        using var fixture = new ServerFixture(new HelloHandler(), options => options with { MaxConnectionsPerAddress = 4 });
        for (int i = 0; i < 1000; i++)
        {
            using TestClient client = From("127.0.0.2", fixture);
            Assert.Equal(11, client.ReceiveToEnd().Length);
            client.Dispose();
            Eventually.True(() => fixture.Server.ConnectionCount < 4);
        }
    }

    [Fact]
    public void Clients_of_a_Unix_domain_socket_have_no_address_and_no_share_of_one()
    {
        string path = Path.Combine(Path.GetTempPath(), $"c10k-{Environment.ProcessId}.sock");
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { UnixPath = path, MaxConnectionsPerAddress = 2 });
        List<Socket> clients = [.. Enumerable.Range(0, 5).Select(_ => new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))];
        clients.ForEach(client => client.Connect(new UnixDomainSocketEndPoint(path)));
        Eventually.Equal(5, () => fixture.Server.Accepted + fixture.Server.Rejected);
        Assert.Equal(0, fixture.Server.Rejected);
        using TestClient first = fixture.Connect();
        using TestClient second = fixture.Connect();
        using (TestClient third = fixture.Connect())
        {
            third.AssertReset();
        }

        Assert.Equal(7, fixture.Server.Accepted);
        clients.ForEach(static client => client.Dispose());
        File.Delete(path + ".lock");
    }

    [Fact]
    public void A_limit_for_each_address_is_refused_where_no_client_has_one()
    {
        var options = new ServerOptions { Addresses = [], UnixPath = "/tmp/c10k.sock", MaxConnectionsPerAddress = 2, HandlerFactory = BuiltInHandlers.Echo };
        var e = Assert.Throws<ArgumentException>(() => new Server(options));
        Assert.Equal(nameof(ServerOptions.MaxConnectionsPerAddress), e.ParamName);
        Assert.Contains("no address", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DispatchMode.RoundRobin)]
    [InlineData(DispatchMode.ReusePort)]
    public void Accepts_keep_to_their_rate_and_none_is_lost(DispatchMode dispatch)
    {
        using var fixture = new ServerFixture(new HelloHandler(), options => options with { AcceptRate = 100, Dispatch = dispatch, WorkerCount = 4 });
        var watch = Stopwatch.StartNew();
        List<TestClient> clients = [.. Enumerable.Range(0, 60).Select(_ => fixture.Connect())];
        clients.ForEach(static client => Assert.Equal(11, client.ReceiveToEnd().Length));

        // Ten at once are the bucket's; the other fifty take half a second.
        Assert.InRange(watch.ElapsedMilliseconds, 400, 10_000);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_dual_stack_server_shows_IPv4_clients_as_IPv4()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [IPAddress.IPv6Any], DualMode = true });
        using var four = new TestClient(new IPEndPoint(IPAddress.Loopback, fixture.Server.Port));
        using var six = new TestClient(new IPEndPoint(IPAddress.IPv6Loopback, fixture.Server.Port));
        four.Echo(1, 10);
        six.Echo(2, 10);
        IReadOnlyList<ConnectionInfo> rows = fixture.Rows();
        Assert.Contains(rows, row => row.RemoteEndPoint.Equals(four.Socket.LocalEndPoint) && row.LocalEndPoint.Equals(four.Socket.RemoteEndPoint));
        Assert.Contains(rows, row => row.RemoteEndPoint.Equals(six.Socket.LocalEndPoint));
    }

    [Fact]
    public void Without_dual_mode_a_server_on_IPv6_leaves_IPv4_alone()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [IPAddress.IPv6Any] });
        Assert.Throws<SocketException>(() => new TestClient(new IPEndPoint(IPAddress.Loopback, fixture.Server.Port)));
    }

    [Fact]
    public void Keep_alive_and_user_timeout_reach_the_accepted_sockets()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(),
            options => options with { KeepAliveTime = TimeSpan.FromSeconds(60), UserTimeout = TimeSpan.FromSeconds(9) });
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);

        // "timer:(keepalive,..." of this connection, in the kernel's own table: column 6 is the timer, 2 for keep-alive. Until the
        // answer is acknowledged it is the one for retransmission.
        string port = $":{((IPEndPoint)client.Socket.LocalEndPoint!).Port:X4}";
        string server = $":{fixture.Server.Port:X4}";
        Eventually.True(() => File.ReadLines("/proc/net/tcp").Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Any(columns => columns[1].EndsWith(server, StringComparison.Ordinal) && columns[2].EndsWith(port, StringComparison.Ordinal)
                && columns[5].StartsWith("02:", StringComparison.Ordinal)));
    }

    private static TestClient From(string source, ServerFixture fixture) => new(fixture.EndPoint, source: IPAddress.Parse(source));
}
