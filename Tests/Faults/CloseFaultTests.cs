namespace C10kServer.Faults.Tests;

/// <summary>close and the calls around it: no descriptor is closed twice, whatever they say.</summary>
public class CloseFaultTests
{
    [Theory]
    [Rows("close", Error.EINTR)]
    public void An_interrupted_close_is_not_repeated(string call, Error error, When when)
    {
        using var faulty = new FaultyServer();
        faulty.Shake(call, error, when);
        Eventually.Equal(0, () => faulty.Server.ConnectionCount);
        Assert.Equal([CloseReason.PeerClosed], faulty.Echo.Ends.Keys);
    }

    [Fact]
    public void Closes_that_are_interrupted_while_the_server_stops_are_not_repeated()
    {
        using var faulty = new FaultyServer();
        using var client = new TestClient(faulty.EndPoint);
        client.Echo(1, 1000);
        using Shim.Armed armed = Shim.Arm("close", (int)Error.EINTR, Schedule.EveryCall);
        faulty.Server.Stop();

        // The connection; the listening socket; an epoll and an eventfd for the acceptor and each of the two workers; the spares.
        Assert.Equal(8 + DescriptorReserve.Count, armed.Injected);
        client.ReceiveToEnd();
    }

    [Fact]
    public void An_interrupted_wake_up_is_not_lost()
    {
        using var faulty = new FaultyServer();
        using Shim.Armed armed = Shim.Arm("write", (int)Error.EINTR, Schedule.Every(2));
        for (int i = 0; i < 100; i++)
        {
            faulty.AssertServes();
        }

        Assert.True(armed.Injected > 0, $"{armed.Calls} calls");
    }
}
