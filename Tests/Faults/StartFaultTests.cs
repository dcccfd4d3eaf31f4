using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Handlers;

namespace C10kServer.Faults.Tests;

/// <summary>Faults while a server starts: it says what is wrong, in the type that callers look for, and leaves nothing behind.</summary>
public class StartFaultTests
{
    private readonly int _descriptors;

    public StartFaultTests()
    {
        Shim.Require();

        // Once, so that what the engine does once a process is done.
        MakeServer().Dispose();
        Shim.Forget();
        _descriptors = ProcessLedger.Descriptors();
    }

    [Theory]
    [InlineData("epoll_create1", Error.ENOMEM)]
    [InlineData("epoll_create1", Error.EMFILE)]
    [InlineData("eventfd", Error.ENOMEM)]
    [InlineData("eventfd", Error.ENFILE)]
    [InlineData("epoll_ctl", Error.ENOSPC)]
    [InlineData("epoll_ctl", Error.ENOMEM)]
    [InlineData("socket", Error.EMFILE)]
    [InlineData("socket", Error.ENOBUFS)]
    [InlineData("socket", Error.EAFNOSUPPORT)]
    [InlineData("setsockopt", Error.ENOMEM)]
    [InlineData("setsockopt", Error.ENOBUFS)]
    [InlineData("bind", Error.EADDRINUSE)]
    [InlineData("bind", Error.ENOMEM)]
    [InlineData("listen", Error.EADDRINUSE)]
    [InlineData("listen", Error.ENOBUFS)]
    [InlineData("getsockname", Error.ENOBUFS)]
    [InlineData("getrlimit", Error.EPERM)]
    [InlineData("epoll_ctl", Error.ENOSPC, 1)]
    [InlineData("socket", Error.EMFILE, 1)]
    public void Whichever_of_its_calls_fails_starting_says_so_and_leaves_nothing_behind(string call, Error error, int workers = 2)
    {
        // One by one, until there is no such call left to fail.
        for (int nth = 1; ; nth++)
        {
            Assert.True(nth < 100, "it never starts");
            using Shim.Armed armed = Shim.Arm(call, (int)error, Schedule.Nth(nth));
            Server server = MakeServer(workers, PortFor(error));
            Exception? thrown = Record.Exception(server.Start);
            if (armed.Injected == 0)
            {
                Assert.Null(thrown);
                Assert.True(nth > 1, $"starting makes no call of {call}");
                server.Stop();
                AssertNothingLeft();
                return;
            }

            AssertSays(thrown, error, call);
            Assert.NotEqual(ServerState.Running, server.State);
            AssertNothingLeft();

            // What can be started again is started again; a failed start is no end.
            server.Start();
            using (var client = new TestClient((System.Net.IPEndPoint)server.EndPoints[0]))
            {
                client.Echo(nth, 1000);
            }

            server.Stop();
            AssertNothingLeft();
        }
    }

    [Theory]
    [Rows("epoll_create1", Error.EMFILE, Error.ENOMEM)]
    [Rows("eventfd", Error.EMFILE, Error.ENOMEM)]
    [Rows("epoll_ctl", Error.ENOSPC, Error.ENOMEM)]
    [Rows("socket", Error.EMFILE, Error.ENOBUFS)]
    [Rows("setsockopt", Error.ENOMEM)]
    [Rows("bind", Error.EADDRINUSE, Error.EACCES, Error.EADDRNOTAVAIL)]
    [Rows("listen", Error.EADDRINUSE)]
    public void Servers_start_or_say_why_not_and_another_one_does_not_notice(string call, Error error, When when)
    {
        using (var faulty = new FaultyServer())
        {
            // Small echoes, which make none of the calls that fail.
            using var bystander = new TestClient(faulty.EndPoint);
            bystander.Echo(1, 1000);
            int failed = 0;
            using (Shim.Armed armed = Shim.Arm(call, (int)error, Schedule.For(when)))
            {
                for (int i = 0; failed < Schedule.EnoughOf(when); i++)
                {
                    Assert.True(i < 500, $"{failed} of {i} starts failed");
                    using Server server = MakeServer(port: PortFor(error));
                    if (Record.Exception(server.Start) is { } thrown)
                    {
                        failed++;
                        AssertSays(thrown, error, call);
                    }

                    bystander.Echo(i, 1000);
                }

                Assert.Equal(failed, armed.Injected);
            }
        }

        AssertNothingLeft();
    }

    // A port that is in use is given up for another where any would do.
    private static int PortFor(Error error)
    {
        if (error != Error.EADDRINUSE)
        {
            return 0;
        }

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private static Server MakeServer(int workers = 2, int port = 0) => new(new ServerOptions
    {
        Name = "f",
        Port = port,
        WorkerCount = workers,
        Addresses = [IPAddress.Loopback, IPAddress.Parse("127.0.0.2"), IPAddress.IPv6Loopback],
        HandlerFactory = BuiltInHandlers.Echo,
    });

    private static void AssertSays(Exception? thrown, Error error, string call)
    {
        var e = Assert.IsType<ServerStartException>(thrown);
        Assert.Equal((int)error, e.Errno);
        StartFailure expected = error switch
        {
            Error.EMFILE or Error.ENFILE => StartFailure.DescriptorLimit,
            Error.EADDRINUSE => StartFailure.PortInUse,
            Error.EACCES => StartFailure.PortAccessDenied,
            Error.EADDRNOTAVAIL or Error.EAFNOSUPPORT => StartFailure.AddressNotAvailable,
            _ => StartFailure.Other,
        };
        Assert.Equal(expected, e.Failure);
        if (expected == StartFailure.Other)
        {
            Assert.Contains(call, e.Message, StringComparison.Ordinal);
            Assert.Contains($"errno {(int)error}", e.Message, StringComparison.Ordinal);
        }
    }

    private void AssertNothingLeft()
    {
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Shim.AssertNothingLeft();
        ProcessLedger.AssertDescriptors(_descriptors);
    }
}
