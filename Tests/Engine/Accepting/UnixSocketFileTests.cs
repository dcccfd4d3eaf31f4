using System.Diagnostics;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Who gets the path of a Unix domain socket when several want it, and what is left of those without it.</summary>
public sealed class UnixSocketFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("c10k");

    private readonly int _patience = UnixSocketFile.LockPatience;

    private string SocketPath => Path.Combine(_folder.FullName, "s");

    private string LockPath => SocketPath + ".lock";

    public void Dispose()
    {
        UnixSocketFile.LockPatience = _patience;
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void A_socket_that_is_bound_and_is_about_to_listen_is_not_replaced()
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using (FileStream locked = Lock())
        {
            other.Bind(new UnixDomainSocketEndPoint(SocketPath));
            FileIdentity bound = FileIdentity.Of(SocketPath);
            Exception? thrown = null;
            var starting = new Thread(() => thrown = Record.Exception(() => Make().Start()));
            starting.Start();
            Assert.True(starting.Join(Eventually.Patience));
            Assert.Equal(StartFailure.PortInUse, Assert.IsType<ServerStartException>(thrown).Failure);
            Assert.Contains(LockPath, thrown.Message, StringComparison.Ordinal);
            Assert.Equal(bound, FileIdentity.Of(SocketPath));
            other.Listen();
        }

        Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(Make().Start).Failure);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
    }

    [Fact]
    public void A_start_waits_for_another_that_is_under_way_on_its_path()
    {
        UnixSocketFile.LockPatience = (int)Eventually.Patience.TotalMilliseconds;
        using Server server = Make();
        Thread starting;
        using (Lock())
        {
            starting = new Thread(server.Start);
            starting.Start();
            Assert.False(starting.Join(100));
            Assert.False(File.Exists(SocketPath));
        }

        Assert.True(starting.Join(Eventually.Patience));
        Assert.Equal(ServerState.Running, server.State);
    }

    [Fact]
    public void Of_two_that_start_at_once_on_one_path_one_has_it()
    {
        UnixSocketFile.LockPatience = (int)Eventually.Patience.TotalMilliseconds;
        for (int round = 0; round < 100; round++)
        {
            if (round % 2 == 0)
            {
                LeaveStaleSocket();
            }

            Server[] servers = [Make(), Make()];
            var gate = new Barrier(servers.Length);
            Exception?[] thrown = new Exception?[servers.Length];
            Thread[] threads =
            [
                .. servers.Select((server, i) => new Thread(() =>
                {
                    gate.SignalAndWait();
                    thrown[i] = Record.Exception(server.Start);
                })),
            ];
            Array.ForEach(threads, static thread => thread.Start());
            Array.ForEach(threads, static thread => thread.Join());
            Assert.Equal(1, servers.Count(static server => server.State == ServerState.Running));
            Assert.Equal(StartFailure.PortInUse, Assert.IsType<ServerStartException>(Assert.Single(thrown, static e => e is not null)).Failure);
            using (var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            {
                client.Connect(new UnixDomainSocketEndPoint(SocketPath));
                client.ReceiveTimeout = (int)Eventually.Patience.TotalMilliseconds;
                client.Send([42]);
                byte[] answer = new byte[1];
                Assert.Equal(1, client.Receive(answer));
            }

            Array.ForEach(servers, static server => server.Dispose());
            Assert.False(File.Exists(SocketPath));
        }

        Eventually.Equal(0, ProcessLedger.EngineThreads);
    }

    [Fact]
    public void The_lock_is_its_users_alone_stays_for_the_next_one_and_is_free_while_the_server_runs()
    {
        using (Server server = Make())
        {
            server.Start();
            Lock().Dispose();
        }

        Assert.False(File.Exists(SocketPath));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(LockPath));
        FileIdentity before = FileIdentity.Of(LockPath);
        using (Server server = Make())
        {
            server.Start();
        }

        Assert.Equal(before, FileIdentity.Of(LockPath));
    }

    [Fact]
    public void A_path_of_the_full_length_has_its_lock_too()
    {
        string longest = SocketPath + new string('x', SockAddr.MaxPathLength - SocketPath.Length);
        using (Server server = Make(longest))
        {
            server.Start();
        }

        Assert.True(File.Exists(longest + ".lock"));
    }

    [Theory]
    [InlineData("a directory that may not be written to")]
    [InlineData("a lock of another user's")]
    public void Where_the_lock_may_not_be_had_the_start_says_so_and_leaves_nothing(string what)
    {
        if (what.StartsWith("a lock", StringComparison.Ordinal))
        {
            File.WriteAllText(LockPath, "");
            File.SetUnixFileMode(LockPath, UnixFileMode.None);
        }
        else
        {
            File.SetUnixFileMode(_folder.FullName, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        int descriptors = ProcessLedger.Descriptors();
        Kernel.WithoutCapability(Kernel.CapOverrideFileAccess, () => Kernel.WithoutCapability(Kernel.CapReadEveryFile, () =>
        {
            using Server server = Make();
            var e = Assert.Throws<ServerStartException>(server.Start);
            Assert.Equal(StartFailure.PortAccessDenied, e.Failure);
            Assert.Contains(LockPath, e.Message, StringComparison.Ordinal);
        }));
        Assert.False(File.Exists(SocketPath));
        ProcessLedger.AssertDescriptors(descriptors);
        File.SetUnixFileMode(_folder.FullName, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public void A_link_in_the_locks_place_is_not_followed()
    {
        string elsewhere = Path.Combine(_folder.FullName, "elsewhere");
        File.CreateSymbolicLink(LockPath, elsewhere);
        var e = Assert.Throws<ServerStartException>(Make().Start);
        Assert.Contains(LockPath, e.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(elsewhere));
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public void A_path_with_a_zero_in_it_is_refused()
    {
        Assert.Equal(nameof(ServerOptions.UnixPath), Assert.Throws<ArgumentException>(() => Make(SocketPath + "\0x")).ParamName);
    }

    [Fact]
    public void A_lock_that_another_process_holds_is_waited_for_and_then_told()
    {
        var start = new ProcessStartInfo("flock", [LockPath, "cat"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using Process? holder = TryStart(start);
        Assert.SkipWhen(holder is null, "There is no flock (util-linux) on this machine.");
        holder.StandardInput.WriteLine("held");
        Assert.Equal("held", holder.StandardOutput.ReadLine());
        Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(Make().Start).Failure);
        Assert.False(File.Exists(SocketPath));

        UnixSocketFile.LockPatience = (int)Eventually.Patience.TotalMilliseconds;
        using Server server = Make();
        var starting = new Thread(server.Start);
        starting.Start();
        holder.StandardInput.Close();
        holder.WaitForExit();
        Assert.True(starting.Join(Eventually.Patience));
        Assert.Equal(ServerState.Running, server.State);
    }

    private static Process? TryStart(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private Server Make(string? path = null) =>
        new(new ServerOptions { Name = "test", WorkerCount = 1, Addresses = [], UnixPath = path ?? SocketPath, HandlerFactory = BuiltInHandlers.Echo });

    // flock(2) is of an open file and not of a process: to another open file of this process it is another's.
    private FileStream Lock()
    {
        var file = new FileStream(LockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        Assert.Equal(0, Kernel.Lock((int)file.SafeFileHandle.DangerousGetHandle(), Kernel.LockExclusive));
        return file;
    }

    private void LeaveStaleSocket()
    {
        using (var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            left.Bind(new UnixDomainSocketEndPoint(SocketPath));
            File.Move(SocketPath, SocketPath + "2");
        }

        File.Move(SocketPath + "2", SocketPath);
    }
}
