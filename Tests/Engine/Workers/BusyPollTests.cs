using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Workers that look for more before they block.</summary>
public class BusyPollTests
{
    [Fact]
    public void A_worker_looks_on_for_as_long_as_it_was_told_and_sleeps_then()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(), static options => options with { WorkerCount = 1, BusyPoll = TimeSpan.FromMilliseconds(500) });
        using TestClient client = fixture.Connect();
        TimeSpan before = ProcessLedger.EngineCpuTime();
        client.Echo(1, 100);

        // Others may have the processor meanwhile; but what is not done in half a second is not made up for later.
        Eventually.True(() => ProcessLedger.EngineCpuTime() - before > TimeSpan.FromMilliseconds(100));
        TimeSpan cpu = TimeSpan.Zero;
        Eventually.True(() =>
        {
            TimeSpan since = ProcessLedger.EngineCpuTime();
            Thread.Sleep(300);
            cpu = ProcessLedger.EngineCpuTime() - since;
            return cpu < TimeSpan.FromMilliseconds(20);
        });
        client.Echo(2, 100);
    }

    [Fact]
    public void Deadlines_and_commands_do_not_wait_for_the_end_of_it()
    {
        using var fixture = new ServerFixture(
            new EchoHandler(),
            static options => options with { WorkerCount = 1, BusyPoll = TimeSpan.FromSeconds(1), IdleTimeout = TimeSpan.FromMilliseconds(100) });

        // On a machine that has other things to do once may be late. Always is too late.
        Assert.Contains(Enumerable.Range(0, 5), _ => TimeOfRowAndEnd(fixture) < TimeSpan.FromMilliseconds(800));
    }

    [Fact]
    public void It_can_be_changed_while_the_server_runs()
    {
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 1 });
        using TestClient client = fixture.Connect();
        client.Echo(1, 100);
        TimeSpan before = ProcessLedger.EngineCpuTime();
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { BusyPoll = TimeSpan.FromSeconds(1) }));
        Eventually.True(() =>
        {
            client.Echo(2, 1);
            return ProcessLedger.EngineCpuTime() - before > TimeSpan.FromMilliseconds(200);
        });
        Assert.Equal(
            nameof(ServerOptions.BusyPoll),
            Assert.Throws<ArgumentOutOfRangeException>(
                () => fixture.Server.Reconfigure(fixture.Server.Options with { BusyPoll = TimeSpan.FromSeconds(2) })).ParamName);
    }

    private static TimeSpan TimeOfRowAndEnd(ServerFixture fixture)
    {
        var watch = Stopwatch.StartNew();
        using TestClient client = fixture.Connect();
        client.Echo(1, 100);
        Assert.Single(fixture.Rows());
        Assert.Empty(client.ReceiveToEnd());
        return watch.Elapsed;
    }
}
