using System.Globalization;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Clients that wait in the kernel's queues when a server drains or a worker leaves.</summary>
public class DrainTests
{
    private const int Clients = 40;

    [Theory]
    [InlineData(DispatchMode.RoundRobin, 1)]
    [InlineData(DispatchMode.RoundRobin, 2)]
    [InlineData(DispatchMode.ReusePort, 4)]
    public void A_drain_serves_those_who_wait_in_the_queue_whatever_the_rate_of_accepts(DispatchMode dispatch, int workers)
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), options => options with { Dispatch = dispatch, WorkerCount = workers, AcceptRate = 1 });
        List<TestClient> clients = Wait(fixture);
        fixture.Server.BeginDrain();
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        Assert.Equal(Clients, fixture.Server.Accepted);
        AssertServed(clients);
    }

    [Fact]
    public void A_worker_that_leaves_loses_nobody_of_its_queue_whatever_the_rate_of_accepts()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), static options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = 4, AcceptRate = 20 });
        List<TestClient> clients = Wait(fixture);
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
        AssertServed(clients);
        Assert.Equal(Clients, fixture.Server.Accepted);
        Eventually.Equal(1, () => ListeningSockets(fixture));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1, 3)]
    [InlineData(2, 4, 1)]
    public void Suspended_and_resized_it_keeps_those_who_wait_until_it_is_resumed(params int[] sizes)
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), static options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = 4 });
        fixture.Server.Suspend();
        List<TestClient> clients = Wait(fixture);
        foreach (int size in sizes)
        {
            Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = size }));
        }

        Assert.Equal(0, fixture.Server.Accepted);
        Assert.All(clients, static client => Assert.Equal(0, client.Socket.Available));
        fixture.Server.Resume();
        AssertServed(clients);
        Assert.Equal(Clients, fixture.Server.Accepted);
        Eventually.Equal(sizes[^1], () => ListeningSockets(fixture));
    }

    [Fact]
    public void Suspended_and_resized_it_drains_those_who_wait()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), static options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = 4, AcceptRate = 1 });
        fixture.Server.Suspend();
        List<TestClient> clients = Wait(fixture);
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
        fixture.Server.BeginDrain();
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        Assert.Equal(Clients, fixture.Server.Accepted);
        AssertServed(clients);
    }

    [Fact]
    public void Suspended_and_resized_and_stopped_it_leaves_nothing()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), static options => options with { Dispatch = DispatchMode.ReusePort, WorkerCount = 4 });
        fixture.Server.Suspend();
        List<TestClient> clients = Wait(fixture);
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
        fixture.Server.Stop();
        clients.ForEach(static client => client.AssertReset());
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_drain_takes_a_longer_queue_than_fits_into_a_turn()
    {
        const int Many = 500;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 1 });
        fixture.Server.Suspend();
        List<TestClient> clients = Wait(fixture, Many);
        fixture.Server.BeginDrain();
        Assert.True(fixture.Server.WaitUntilDrained(Eventually.Patience, null, TestContext.Current.CancellationToken));
        Assert.Equal(Many, fixture.Server.Accepted);
        AssertServed(clients);
    }

    private static List<TestClient> Wait(ServerFixture fixture, int count = Clients)
    {
        List<TestClient> clients = [.. Enumerable.Range(0, count).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Send(Keyed.Bytes(i, 100));
            clients[i].EndSending();
        }

        return clients;
    }

    private static void AssertServed(List<TestClient> clients)
    {
        for (int i = 0; i < clients.Count; i++)
        {
            Keyed.Verify(i, clients[i].ReceiveToEnd());
            clients[i].Dispose();
        }
    }

    // In the kernel's own table: column 1 is the address, and state 0A in column 3 is LISTEN.
    private static int ListeningSockets(ServerFixture fixture)
    {
        string port = string.Create(CultureInfo.InvariantCulture, $":{fixture.Server.Port:X4}");
        return File.ReadLines("/proc/net/tcp").Select(static line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(columns => columns[1].EndsWith(port, StringComparison.Ordinal) && columns[3] == "0A");
    }
}
