namespace C10kServer.Faults.Tests;

/// <summary>Clients that wait in the kernel's queue of a server that drains while accepting fails.</summary>
public class QueueFaultTests
{
    [Theory]
    [InlineData(DispatchMode.RoundRobin, 1)]
    [InlineData(DispatchMode.RoundRobin, 2)]
    [InlineData(DispatchMode.ReusePort, 2)]
    public void A_drain_without_descriptors_goes_on_when_there_are_some_again(DispatchMode dispatch, int workers)
    {
        using var faulty = new FaultyServer(options => options with { Dispatch = dispatch, WorkerCount = workers });
        List<TestClient> clients;
        using (Shim.Armed armed = Shim.Arm("accept4", (int)Error.EMFILE, Schedule.EveryCall))
        {
            clients = Wait(faulty, 10);
            faulty.Server.BeginDrain();
            Eventually.True(() => armed.Injected > 3);
            Assert.False(faulty.Server.IsDrained);
        }

        Assert.True(faulty.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        for (int i = 0; i < clients.Count; i++)
        {
            Keyed.Verify(i, clients[i].ReceiveToEnd());
            clients[i].Dispose();
        }
    }

    [Fact]
    public void A_worker_that_leaves_without_descriptors_leaves_its_queue_to_be_served_when_there_are_some_again()
    {
        using var faulty = new FaultyServer(static options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = 4 });
        List<TestClient> clients;
        using (Shim.Armed armed = Shim.Arm("accept4", (int)Error.EMFILE, Schedule.EveryCall))
        {
            clients = Wait(faulty, 20);
            Assert.True(faulty.Server.Reconfigure(faulty.Server.Options with { WorkerCount = 1 }));
            Eventually.True(() => armed.Injected > 8);
        }

        for (int i = 0; i < clients.Count; i++)
        {
            Keyed.Verify(i, clients[i].ReceiveToEnd());
            clients[i].Dispose();
        }
    }

    [Fact]
    public void Those_who_wait_too_long_for_a_drain_are_reset_and_the_log_says_how_many_they_were()
    {
        using var faulty = new FaultyServer();
        faulty.Server.QueuePatience = 300;
        using Shim.Armed armed = Shim.Arm("accept4", (int)Error.EMFILE, Schedule.EveryCall);
        List<TestClient> clients = Wait(faulty, 7);
        faulty.Server.BeginDrain();
        Assert.True(faulty.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        clients.ForEach(static client => client.AssertReset());
        clients.ForEach(static client => client.Dispose());
        Assert.Contains("7 clients", Assert.Single(faulty.Logged("QueueLeft")).Message, StringComparison.Ordinal);
        Assert.Equal(0, faulty.Server.Accepted);
    }

    private static List<TestClient> Wait(FaultyServer faulty, int count)
    {
        List<TestClient> clients = [.. Enumerable.Range(0, count).Select(_ => new TestClient(faulty.EndPoint))];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Send(Keyed.Bytes(i, 100));
            clients[i].EndSending();
        }

        return clients;
    }
}
