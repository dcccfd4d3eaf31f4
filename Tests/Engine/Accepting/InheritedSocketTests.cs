using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Listening sockets that the process was started with: whose they are before, in and after a start.</summary>
public sealed class InheritedSocketTests : IDisposable
{
    private const int AcceptConnections = 30;

    private readonly IPEndPoint _where;
    private readonly int _fd;
    private bool _taken;

    public InheritedSocketTests()
    {
        using var passed = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        passed.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        passed.Listen();
        _where = (IPEndPoint)passed.LocalEndPoint!;

        // As a unit's socket is: a descriptor that nothing else of this process has.
        _fd = Kernel.Duplicate((int)passed.Handle);
    }

    public void Dispose()
    {
        if (!_taken)
        {
            Assert.Equal(0, Kernel.Close(_fd));
        }
    }

    [Fact]
    public void A_start_that_fails_leaves_them_listening_and_the_next_one_serves_who_has_waited()
    {
        int descriptors = ProcessLedger.Descriptors();
        using var failing = new Server(Options() with { LogPath = "/nowhere/at.all" });
        Assert.Equal(StartFailure.LogPathNotWritable, Assert.Throws<ServerStartException>(failing.Start).Failure);
        Assert.Equal(1, Kernel.GetOption(_fd, Native.Sockets.SolSocket, AcceptConnections));
        ProcessLedger.AssertDescriptors(descriptors);
        using (var client = new TestClient(_where))
        using (var server = new Server(Options()))
        {
            server.Start();
            client.Echo(1, 1000);
            _taken = true;
        }

        Assert.Throws<SocketException>(() => new TestClient(_where));
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(descriptors - 1);
    }

    [Fact]
    public void The_same_server_starts_with_them_after_a_start_that_failed()
    {
        using var blocker = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        blocker.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        blocker.Listen();
        using var server = new Server(Options() with { Addresses = [IPAddress.Loopback], Port = ((IPEndPoint)blocker.LocalEndPoint!).Port });
        Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(server.Start).Failure);
        blocker.Dispose();
        server.Start();
        _taken = true;
        using var client = new TestClient(_where);
        client.Echo(1, 1000);
    }

    [Fact]
    public void Taken_once_they_are_nobody_elses_until_they_are_given_back()
    {
        Assert.Empty(InheritedSockets.Take());
        try
        {
            Environment.SetEnvironmentVariable("LISTEN_PID", $"{Environment.ProcessId}");
            Environment.SetEnvironmentVariable("LISTEN_FDS", "2");
            Environment.SetEnvironmentVariable("LISTEN_FDNAMES", "a:b");
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal([3, 4], InheritedSockets.Take());
                Assert.Equal("", Variables());
                Assert.Empty(InheritedSockets.Take());
                InheritedSockets.GiveBack();
                Assert.Equal($"{Environment.ProcessId} 2 a:b", Variables());
            }
        }
        finally
        {
            Environment.SetEnvironmentVariable("LISTEN_PID", null);
            Environment.SetEnvironmentVariable("LISTEN_FDS", null);
            Environment.SetEnvironmentVariable("LISTEN_FDNAMES", null);
        }
    }

    [Fact]
    public void Where_only_paths_were_passed_a_limit_for_each_address_is_refused()
    {
        string path = Path.Combine(Path.GetTempPath(), $"c10k-{Environment.ProcessId}.sock");
        using var passed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        passed.Bind(new UnixDomainSocketEndPoint(path));
        passed.Listen();
        using var server = new Server(Options() with { Inherited = [(int)passed.Handle], MaxConnectionsPerAddress = 1 });
        Assert.Contains("no address", Assert.Throws<ServerStartException>(server.Start).Message, StringComparison.Ordinal);
    }

    private static string Variables() =>
        string.Join(' ', new[] { "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" }.Select(Environment.GetEnvironmentVariable).OfType<string>());

    private ServerOptions Options() =>
        new() { Name = "test", WorkerCount = 2, Addresses = [], Inherited = [_fd], HandlerFactory = BuiltInHandlers.Echo };
}
