namespace C10kServer.Faults.Tests;

/// <summary>The calls by which a server whose workers share a port begins to listen.</summary>
public class ListenTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Nothing_listens_but_the_sockets_that_stay(int workers)
    {
        // A socket that listened for a look at the port alone would reset the clients of that moment.
        Shim.Require();
        using Shim.Armed listens = Shim.Arm("listen", 0, Schedule.Nth(int.MaxValue));
        using var faulty = new FaultyServer(options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = workers });
        Assert.Equal(workers, listens.Calls);
        using var client = new TestClient(faulty.EndPoint);
        client.Echo(1, 1000);
    }

    [Fact]
    public void The_port_that_the_kernel_chose_is_bound_from_then_on()
    {
        Shim.Require();
        for (int failing = 2; failing <= 5; failing++)
        {
            // Each later bind that fails ends the start, and does not have another port chosen.
            Shim.Forget();
            using var server = new Server(new ServerOptions
            {
                Dispatch = DispatchMode.ReusePort, WorkerCount = 4, HandlerFactory = static () => new CountingEcho(),
            });
            using (Shim.Arm("bind", (int)Error.EADDRINUSE, Schedule.Nth(failing)))
            {
                Assert.Equal(StartFailure.PortInUse, Assert.Throws<ServerStartException>(server.Start).Failure);
            }

            Shim.AssertNothingLeft();
        }
    }
}
