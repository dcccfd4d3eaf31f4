using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public sealed class AddressTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("c10k");

    private string SocketPath => Path.Combine(_folder.FullName, "s");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void On_a_Unix_domain_socket_bytes_come_back_and_the_file_is_gone_after_the_stop()
    {
        using (var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = SocketPath }))
        {
            Assert.Equal(0, fixture.Server.Port);
            using Socket client = ConnectUnix();
            Echo(client, 1);
            ConnectionInfo row = Assert.Single(fixture.Rows(new ConnectionQuery { WithTcp = true }));
            Assert.Equal(new UnixEndPoint(SocketPath), row.LocalEndPoint);
            Assert.Equal(new UnixEndPoint(""), row.RemoteEndPoint);
            Assert.Null(row.Tcp);
        }

        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public void A_server_listens_on_addresses_and_a_path_at_once()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { UnixPath = SocketPath });
        using Socket unix = ConnectUnix();
        using TestClient tcp = fixture.Connect();
        Echo(unix, 1);
        tcp.Echo(2, 100);
        Assert.Equal(2, fixture.Server.EndPoints.Count);
    }

    [Fact]
    public void A_socket_file_that_was_left_behind_is_replaced()
    {
        using (var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            left.Bind(new UnixDomainSocketEndPoint(SocketPath));
            left.Listen();

            // .NET removes the file of a socket that it closes; a process that is killed does not.
            File.Move(SocketPath, SocketPath + "2");
        }

        File.Move(SocketPath + "2", SocketPath);
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = SocketPath });
        using Socket client = ConnectUnix();
        Echo(client, 1);
    }

    [Fact]
    public void A_path_on_which_somebody_answers_is_refused_and_left_to_him()
    {
        using var first = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = SocketPath });
        int before = ProcessLedger.Descriptors();
        var second = new Server(new ServerOptions { Addresses = [], UnixPath = SocketPath, HandlerFactory = BuiltInHandlers.Echo });
        Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(second.Start).Failure);
        Assert.Equal(before, ProcessLedger.Descriptors());
        using Socket client = ConnectUnix();
        Echo(client, 1);
    }

    [Fact]
    public void A_file_that_is_no_socket_is_never_removed()
    {
        File.WriteAllText(SocketPath, "precious");
        var server = new Server(new ServerOptions { Addresses = [], UnixPath = SocketPath, HandlerFactory = BuiltInHandlers.Echo });
        Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(server.Start).Failure);
        Assert.Equal("precious", File.ReadAllText(SocketPath));
    }

    [Fact]
    public void A_file_that_another_has_put_in_place_is_not_removed_at_the_stop()
    {
        using (var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = SocketPath }))
        {
            File.Delete(SocketPath);
            File.WriteAllText(SocketPath, "somebody else's");
        }

        Assert.True(File.Exists(SocketPath));
    }

    [Fact]
    public void The_mode_of_the_socket_is_what_was_asked_for()
    {
        const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite;
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = SocketPath, UnixMode = Mode });
        Assert.Equal(Mode, File.GetUnixFileMode(SocketPath));
    }

    [Fact]
    public void A_path_that_is_too_long_or_leads_nowhere_is_an_error()
    {
        var options = new ServerOptions { Addresses = [], HandlerFactory = BuiltInHandlers.Echo };
        Assert.Equal("UnixPath", Assert.Throws<ArgumentException>(() => new Server(options with { UnixPath = new string('x', 108) })).ParamName);
        Assert.Equal("UnixPath", Assert.Throws<ArgumentException>(() => new Server(options with { UnixPath = "" })).ParamName);
        var nowhere = new Server(options with { UnixPath = Path.Combine(_folder.FullName, "no", "where") });
        Assert.Equal(StartFailure.AddressNotAvailable, Assert.Throws<ServerStartException>(nowhere.Start).Failure);
        using var longest = new ServerFixture(
            new EchoHandler(), with => with with { Addresses = [], UnixPath = SocketPath + new string('x', 107 - SocketPath.Length) });
        Assert.Single(longest.Server.EndPoints);
    }

    [Fact]
    public void A_listening_socket_that_was_passed_in_is_adopted_and_closed_at_the_end()
    {
        using var passed = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        passed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        passed.Listen();
        var where = (IPEndPoint)passed.LocalEndPoint!;

        // As a unit's socket is: a descriptor that nobody else of this process has.
        int fd = Duplicate((int)passed.Handle);
        passed.Dispose();
        using (var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], Inherited = [fd] }))
        {
            Assert.Equal(where, fixture.Server.EndPoints[0]);
            Assert.Equal(where.Port, fixture.Server.Port);
            using var client = new TestClient(where);
            client.Echo(1, 1000);
        }

        Assert.Throws<SocketException>(() => new TestClient(where));
    }

    [Fact]
    public void A_descriptor_that_does_not_listen_is_refused_and_left_alone()
    {
        using FileStream file = File.Create(Path.Combine(_folder.FullName, "f"));
        var server = new Server(new ServerOptions { Addresses = [], Inherited = [(int)file.SafeFileHandle.DangerousGetHandle()], HandlerFactory = BuiltInHandlers.Echo });
        Assert.Contains("ListenStream", Assert.Throws<ServerStartException>(server.Start).Message, StringComparison.Ordinal);
        file.WriteByte(1);
        file.Flush();
    }

    [Fact]
    public void Without_a_unit_nothing_is_inherited() => Assert.Empty(InheritedSockets.Take());

    [Theory]
    [InlineData("fe80::1", "fe80::1%eth0")]
    [InlineData("::ffff:127.0.0.1", "127.0.0.1")]
    public void An_address_that_cannot_be_listened_on_is_refused_with_the_one_that_can(string address, string advice)
    {
        var options = new ServerOptions { Addresses = [IPAddress.Parse(address)], HandlerFactory = BuiltInHandlers.Echo };
        var e = Assert.Throws<ArgumentException>(() => new Server(options));
        Assert.Equal(nameof(ServerOptions.Addresses), e.ParamName);
        Assert.Contains(advice, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_interface_that_is_not_there_is_named()
    {
        using var server = new Server(new ServerOptions { Addresses = [IPAddress.Parse("fe80::1%99999")], HandlerFactory = BuiltInHandlers.Echo });
        var e = Assert.Throws<ServerStartException>(server.Start);
        Assert.Equal(StartFailure.AddressNotAvailable, e.Failure);
        Assert.Contains("interface 99999", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void With_ReusePort_every_worker_accepts_and_a_second_server_is_refused_all_the_same()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 3, Dispatch = DispatchMode.ReusePort });
        List<TestClient> clients = [.. Enumerable.Range(0, 300).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, 100);
        }

        // By the kernel's hash of the address: a matter of chance, but 300 at one of three would be none.
        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.InRange(worker.ConnectionCount, 30, 200));
        Assert.Equal(300, fixture.Server.Accepted);
        Assert.Equal(300, fixture.Server.PeakConnectionCount);
        foreach (DispatchMode mode in Enum.GetValues<DispatchMode>())
        {
            var second = new Server(new ServerOptions { Port = fixture.Server.Port, Dispatch = mode, HandlerFactory = BuiltInHandlers.Echo });
            Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(second.Start).Failure);
        }

        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void With_ReusePort_too_it_suspends_drains_and_resizes()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 4, Dispatch = DispatchMode.ReusePort });
        List<TestClient> clients = [.. Enumerable.Range(0, 40).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(1, 10));
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 3 }));
        clients.AddRange(Enumerable.Range(0, 60).Select(_ => fixture.Connect()));
        clients.ForEach(static client => client.Echo(2, 10));
        Assert.Equal(100, fixture.Server.ConnectionCount);

        fixture.Server.Suspend();
        long accepted = fixture.Server.Accepted;
        List<TestClient> waiting = [.. Enumerable.Range(0, 10).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(3, 10));
        Assert.InRange(fixture.Server.Accepted - accepted, 0, 3);
        fixture.Server.Resume();
        waiting.ForEach(static client => client.Echo(4, 10));

        fixture.Server.BeginDrain();
        Eventually.True(() => Record.Exception(() => fixture.Connect().Dispose()) is SocketException);
        clients.ForEach(static client => client.Echo(5, 10));
        clients.ForEach(static client => client.Dispose());
        waiting.ForEach(static client => client.Dispose());
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void With_ReusePort_the_limit_holds()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Dispatch = DispatchMode.ReusePort, MaxConnections = 5 });
        List<TestClient> clients = [.. Enumerable.Range(0, 30).Select(_ => fixture.Connect())];

        Eventually.True(() => fixture.Server.Rejected + fixture.Server.Accepted == 30);
        Assert.Equal(5, fixture.Server.Accepted);
        clients.ForEach(static client => client.Dispose());
    }

    private static void Echo(Socket client, int key)
    {
        client.ReceiveTimeout = (int)Eventually.Patience.TotalMilliseconds;
        Assert.Equal(1000, client.Send(Keyed.Bytes(key, 1000)));
        var bytes = new byte[1000];
        for (int n = 0; n < bytes.Length;)
        {
            int received = client.Receive(bytes, n, bytes.Length - n, SocketFlags.None);
            Assert.True(received > 0);
            n += received;
        }

        Keyed.Verify(key, bytes);
    }

    private static unsafe int Duplicate(int fd)
    {
        const int DuplicateDescriptor = 0;
        int copy = Native.Libc.Fcntl(fd, DuplicateDescriptor, 3);
        Assert.True(copy > 0);
        return copy;
    }

    private Socket ConnectUnix()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
        return socket;
    }
}
