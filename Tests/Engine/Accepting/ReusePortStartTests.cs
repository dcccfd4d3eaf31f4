using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The start of a server whose workers share a port.</summary>
public class ReusePortStartTests
{
    [Fact]
    public void A_client_that_connects_while_it_starts_is_served()
    {
        int port = FreePort();
        var endPoint = new IPEndPoint(IPAddress.Loopback, port);
        for (int round = 0; round < 20; round++)
        {
            string? wrong = null;
            int served = 0;
            bool stop = false;
            List<Thread> visitors = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
            {
                while (!Volatile.Read(ref stop) && wrong is null)
                {
                    Visit(endPoint, ref served, ref wrong);
                }
            }))];
            visitors.ForEach(static visitor => visitor.Start());
            using (var fixture = new ServerFixture(
                new EchoHandler(), options => options with { Port = port, Dispatch = DispatchMode.ReusePort, WorkerCount = 4 }))
            {
                Eventually.True(() => Volatile.Read(ref served) > 5 || wrong is not null);
                Volatile.Write(ref stop, true);
                visitors.ForEach(static visitor => visitor.Join());
            }

            Assert.Null(wrong);
        }
    }

    [Fact]
    public void Of_two_servers_that_start_on_a_port_at_the_same_time_one_is_refused()
    {
        for (int round = 0; round < 50; round++)
        {
            int port = FreePort();
            using var start = new Barrier(2);
            Server[] servers = [.. Enumerable.Range(0, 2).Select(_ => new Server(new ServerOptions
            {
                Port = port, Dispatch = DispatchMode.ReusePort, WorkerCount = 2, HandlerFactory = BuiltInHandlers.Echo,
            }))];
            var thrown = new Exception?[2];
            List<Thread> threads = [.. Enumerable.Range(0, 2).Select(i => new Thread(() =>
            {
                start.SignalAndWait();
                thrown[i] = Record.Exception(() => servers[i].Start());
            }))];
            threads.ForEach(static thread => thread.Start());
            threads.ForEach(static thread => thread.Join());
            Array.ForEach(servers, static server => server.Stop());
            var refused = Assert.IsType<ServerStartException>(Assert.Single(thrown, static e => e is not null));
            Assert.Equal(StartFailure.PortInUse, refused.Failure);
        }
    }

    private static void Visit(IPEndPoint endPoint, ref int served, ref string? wrong)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.ReceiveTimeout = (int)Eventually.Patience.TotalMilliseconds;
        if (Record.Exception(() => socket.Connect(endPoint)) is not null)
        {
            return; // nobody listens yet
        }

        Exception? lost = Record.Exception(() =>
        {
            socket.Send([42]);
            Assert.Equal(1, socket.Receive(new byte[1]));
        });
        if (lost is null)
        {
            Interlocked.Increment(ref served);
        }
        else
        {
            wrong = lost.Message;
        }
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
