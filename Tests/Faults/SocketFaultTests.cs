using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Load;

namespace C10kServer.Faults.Tests;

/// <summary>Faults of addresses and paths that the kernel brings about by chance, or for other users.</summary>
public sealed class SocketFaultTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("c10k");
    private readonly int _descriptors;

    public SocketFaultTests()
    {
        Shim.Require();
        using (Server server = Make(static options => options))
        {
            server.Start();
        }

        Shim.Forget();
        _descriptors = ProcessLedger.Descriptors();
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    // The first address binds twice, because one socket chooses the port and another one listens.
    [InlineData(3)]
    [InlineData(4)]
    public void A_port_that_is_free_on_the_first_address_alone_is_given_up_for_another(int call)
    {
        using (Server server = Make(static options => options with { Addresses = [IPAddress.Loopback, IPAddress.Parse("127.0.0.2"), IPAddress.Parse("127.0.0.3")] }))
        {
            using (Shim.Armed armed = Shim.Arm("bind", (int)Error.EADDRINUSE, Schedule.Nth(call)))
            {
                server.Start();
                Assert.Equal(1, armed.Injected);
            }

            Assert.Single(server.EndPoints.Cast<IPEndPoint>().Select(static endPoint => endPoint.Port).Distinct());
            Assert.Equal(3, server.EndPoints.Count);
            foreach (IPEndPoint endPoint in server.EndPoints.Cast<IPEndPoint>())
            {
                using var client = new TestClient(endPoint);
                client.Echo(1, 100);
            }
        }

        AssertNothingLeft();
    }

    [Fact]
    public void Where_no_port_is_free_on_all_addresses_the_start_says_so_after_some_tries()
    {
        using (Server server = Make(static options => options with { Addresses = [IPAddress.Loopback, IPAddress.Parse("127.0.0.2")] }))
        {
            // Each third bind is that of the second address.
            using Shim.Armed armed = Shim.Arm("bind", (int)Error.EADDRINUSE, Schedule.Every(3));
            Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(server.Start).Failure);
            Assert.InRange(armed.Injected, 2, 100);
        }

        AssertNothingLeft();
    }

    [Fact]
    public void A_port_that_was_asked_for_is_tried_once()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)probe.LocalEndPoint!).Port;
        probe.Dispose();
        using (Server server = Make(options => options with { Addresses = [IPAddress.Loopback, IPAddress.Parse("127.0.0.2")], Port = port }))
        {
            using Shim.Armed armed = Shim.Arm("bind", (int)Error.EADDRINUSE, Schedule.Every(2));
            Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(server.Start).Failure);
            Assert.Equal(1, armed.Injected);
        }

        AssertNothingLeft();
    }

    [Fact]
    public void A_mode_that_the_file_system_refuses_fails_the_start_and_leaves_no_file()
    {
        string path = Path.Combine(_folder.FullName, "s");
        using (Server server = Make(options => options with { Addresses = [], UnixPath = path, UnixMode = UnixFileMode.UserRead }))
        {
            using (Shim.Arm("chmod", (int)Error.EPERM, Schedule.EveryCall))
            {
                var e = Assert.Throws<ServerStartException>(server.Start);
                Assert.Equal((int)Error.EPERM, e.Errno);
                Assert.Contains("mode", e.Message, StringComparison.Ordinal);
            }

            Assert.False(File.Exists(path));
            server.Start();
            Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(path));
        }

        AssertNothingLeft();
    }

    [Theory]
    [InlineData("listen", Error.ENOBUFS)]
    [InlineData("flock", Error.ENOSPC)]
    [InlineData("open", Error.ENOSPC)]
    public void A_call_for_a_path_that_fails_fails_the_start_and_leaves_no_socket(string call, Error error)
    {
        string path = Path.Combine(_folder.FullName, "s");
        using (Server server = Make(options => options with { Addresses = [], UnixPath = path }))
        {
            using (Shim.Arm(call, (int)error, Schedule.EveryCall))
            {
                Assert.Equal((int)error, Assert.Throws<ServerStartException>(server.Start).Errno);
            }

            Assert.False(File.Exists(path));
            server.Start();
        }

        AssertNothingLeft();
    }

    [Fact]
    public void A_file_that_cannot_be_removed_holds_no_stop_and_fails_a_start_that_needs_its_place()
    {
        string path = Path.Combine(_folder.FullName, "s");
        using (Shim.Arm("unlink", (int)Error.EACCES, Schedule.EveryCall))
        {
            using (Server first = Make(options => options with { Addresses = [], UnixPath = path }))
            {
                first.Start();
                first.Stop();
                Assert.Equal(ServerState.Stopped, first.State);
            }

            Assert.True(File.Exists(path));
            using Server second = Make(options => options with { Addresses = [], UnixPath = path });
            Assert.Equal(StartFailure.PortAccessDenied, Assert.Throws<ServerStartException>(second.Start).Failure);
        }

        AssertNothingLeft();
    }

    [Theory]
    [InlineData("setsockopt", Error.EOPNOTSUPP)]
    [InlineData("fcntl", Error.EMFILE)]
    public void A_socket_that_was_passed_and_cannot_be_set_up_fails_the_start_and_is_left_alone(string call, Error error)
    {
        using var passed = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        passed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        passed.Listen();
        using (Server server = Make(options => options with { Addresses = [], Inherited = [(int)passed.Handle] }))
        {
            using (Shim.Armed armed = Shim.Arm(call, (int)error, Schedule.EveryCall))
            {
                Assert.Equal((int)error, Assert.Throws<ServerStartException>(server.Start).Errno);
                Assert.Equal(1, armed.Injected);
            }
        }

        using var client = new TestClient((IPEndPoint)passed.LocalEndPoint!);
        using Socket accepted = passed.Accept();
        Shim.AssertNothingLeft();
    }

    [Theory]
    [InlineData(LoadMode.Echo, "127.0.0.1")]
    [InlineData(LoadMode.Idle, "::1")]
    [InlineData(LoadMode.Churn, "::1")]
    [InlineData(LoadMode.Churn, "127.0.1.1")]
    public void A_load_that_meets_itself_where_nobody_listens_is_refused(LoadMode mode, string address)
    {
        IPEndPoint target = FreePort(IPAddress.Parse(address));
        var options = new LoadOptions { Target = target, Mode = mode, Connections = 1, Count = mode == LoadMode.Idle ? 0 : 100, Duration = TimeSpan.FromSeconds(1) };
        using (Shim.Armed armed = Shim.Arm("connect", Shim.ToItself, Schedule.EveryCall))
        {
            using var load = new LoadGenerator(options);
            load.Start();
            var e = Assert.Throws<LoadException>(() =>
            {
                Assert.True(load.Wait(Eventually.Patience));
                _ = load.Report;
            });
            Assert.True(armed.Injected > 0);
            Assert.Equal((LoadFailure.ConnectFailed, (int)Error.ECONNREFUSED), (e.Failure, e.Errno));
        }

        Shim.AssertNothingLeft();
    }

    private static IPEndPoint FreePort(IPAddress address)
    {
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(address, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    private static Server Make(Func<ServerOptions, ServerOptions> with) =>
        new(with(new ServerOptions { Name = "f", WorkerCount = 2, HandlerFactory = BuiltInHandlers.Echo }));

    private void AssertNothingLeft()
    {
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Shim.AssertNothingLeft();
        ProcessLedger.AssertDescriptors(_descriptors);
    }
}
