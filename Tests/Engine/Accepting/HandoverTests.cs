using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>A server that takes another's place, on the sockets of that one.</summary>
public class HandoverTests
{
    [Theory]
    [InlineData(DispatchMode.RoundRobin, 1, 1)]
    [InlineData(DispatchMode.RoundRobin, 2, 1)]
    [InlineData(DispatchMode.RoundRobin, 1, 3)]
    [InlineData(DispatchMode.ReusePort, 2, 2)]
    [InlineData(DispatchMode.ReusePort, 4, 1)]
    [InlineData(DispatchMode.ReusePort, 1, 4)]
    public void Those_who_wait_in_the_queue_are_served_by_the_server_that_takes_its_place(DispatchMode dispatch, int before, int after)
    {
        int descriptors = ProcessLedger.Descriptors();
        using var first = new ServerFixture(new EchoHandler(), options => options with { Dispatch = dispatch, WorkerCount = before });
        first.Server.Suspend();
        List<TestClient> clients = [.. Enumerable.Range(0, 20).Select(_ => first.Connect())];
        using Server second = Replace(first.Server, options => options with { WorkerCount = after });
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, 100);
        }

        Assert.Equal(20, second.Accepted);
        Assert.Equal(first.Server.EndPoints, second.EndPoints);
        clients.ForEach(static client => client.Dispose());
        second.Stop();
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void No_client_is_refused_while_a_server_takes_anothers_place()
    {
        using var first = new ServerFixture(new EchoHandler());
        IPEndPoint endPoint = first.EndPoint;
        bool stop = false;
        int served = 0;
        Exception? refused = null;
        var visitor = new Thread(() =>
        {
            while (!Volatile.Read(ref stop) && refused is null)
            {
                refused = Record.Exception(() => new TestClient(endPoint).Dispose());
                served++;
            }
        });
        visitor.Start();
        Server current = first.Server;
        for (int i = 0; i < 20; i++)
        {
            int before = Volatile.Read(ref served);
            current = Replace(current);
            Eventually.True(() => Volatile.Read(ref served) > before + 2 || refused is not null);
        }

        Volatile.Write(ref stop, true);
        visitor.Join();
        current.Stop();
        Assert.Null(refused);
    }

    [Fact]
    public void On_a_path_too_the_queue_is_kept()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("c10k");
        string path = Path.Combine(folder.FullName, "s");
        using (var first = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = path }))
        {
            first.Server.Suspend();
            using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            client.ReceiveTimeout = (int)Eventually.Patience.TotalMilliseconds;
            client.Connect(new UnixDomainSocketEndPoint(path));
            client.Send([42]);
            using Server second = Replace(first.Server);
            Assert.Equal(1, client.Receive(new byte[1]));
            Assert.True(File.Exists(path));
            second.Stop();
            Assert.False(File.Exists(path));
        }

        folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData(DispatchMode.RoundRobin)]
    [InlineData(DispatchMode.ReusePort)]
    public void A_server_that_has_drained_keeps_its_port_for_the_one_that_takes_its_place(DispatchMode dispatch)
    {
        using var first = new ServerFixture(new EchoHandler(), options => options with { Dispatch = dispatch });
        first.Server.Drained = static () => { };
        first.Server.BeginDrain();
        Assert.True(first.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        Assert.Throws<SocketException>(() => first.Connect());

        Assert.Equal(Errno.EADDRINUSE, BindAlone(first.EndPoint));
        using Server second = Replace(first.Server);
        using var client = new TestClient(first.EndPoint);
        client.Echo(1, 100);
        client.Dispose();
        second.Stop();
    }

    [Fact]
    public void A_server_that_cannot_take_the_others_place_leaves_nothing()
    {
        int descriptors = ProcessLedger.Descriptors();
        using var first = new ServerFixture(new EchoHandler());
        using (var handover = new SocketHandover())
        {
            first.Server.Stop(to: handover);
            var second = new Server(first.Server.Options with { Port = first.Server.Port, LogPath = "/no/such/folder/log" });
            Assert.Throws<ServerStartException>(() => second.Start(handover));
        }

        ProcessLedger.AssertDescriptors(descriptors);
        Assert.Throws<SocketException>(() => first.Connect());
    }

    // As a program does that wants the port for itself: .NET's sockets share it with those that do not listen.
    private static unsafe int BindAlone(IPEndPoint endPoint)
    {
        using var descriptor = new Descriptor(Libc.Socket(SockAddr.AfInet, Native.Sockets.Stream | Native.Sockets.Cloexec, 0));
        byte* address = stackalloc byte[SockAddr.MaxLength];
        int length = SockAddr.From(endPoint.Address, endPoint.Port).Write(new Span<byte>(address, SockAddr.MaxLength));
        return Libc.Bind(descriptor.Fd, address, (uint)length) == 0 ? 0 : Errno.Last;
    }

    private static Server Replace(Server first, Func<ServerOptions, ServerOptions>? with = null)
    {
        using var handover = new SocketHandover();
        first.Stop(to: handover);
        ServerOptions options = first.Options with { Port = first.Port };
        var second = new Server(with is null ? options : with(options));
        second.Start(handover);
        return second;
    }
}
