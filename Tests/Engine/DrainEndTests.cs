using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The end of a drain, which needs nobody who waits for it.</summary>
public class DrainEndTests
{
    [Theory]
    [InlineData(DispatchMode.RoundRobin, 1)]
    [InlineData(DispatchMode.RoundRobin, 2)]
    [InlineData(DispatchMode.ReusePort, 2)]
    public void A_server_that_drains_stops_when_its_last_connection_ends_though_nobody_waits_any_more(DispatchMode dispatch, int workers)
    {
        int descriptors = ProcessLedger.Descriptors();
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Dispatch = dispatch, WorkerCount = workers });
        using (TestClient client = fixture.Connect())
        {
            client.Echo(1, 10);
            fixture.Server.BeginDrain();
            Assert.False(fixture.Server.WaitUntilDrained(TimeSpan.FromMilliseconds(50), null, TestContext.Current.CancellationToken));
            client.Echo(2, 10);
            Assert.Equal(ServerState.Draining, fixture.Server.State);
        }

        Eventually.Equal(ServerState.Stopped, () => fixture.Server.State);
        Eventually.True(() => fixture.Server.HasEnded);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(descriptors);
        Assert.Contains(fixture.Server.Options.Log.GetRecords(), static record => record.Name == "ServerStopped");
        Assert.Equal(1, fixture.Server.Closed);
    }

    [Fact]
    public void A_server_without_connections_stops_by_itself_once_it_drains()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        fixture.Server.BeginDrain();
        Eventually.Equal(ServerState.Stopped, () => fixture.Server.State);
    }

    [Fact]
    public void An_end_that_fails_is_logged_and_tried_again()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        int tries = 0;
        fixture.Server.Drained = () =>
        {
            if (++tries == 1)
            {
                throw new InvalidOperationException("not yet");
            }

            fixture.Server.Stop();
        };
        fixture.Server.BeginDrain();
        Eventually.Equal(ServerState.Stopped, () => fixture.Server.State);
        Assert.Equal(2, tries);
        Assert.Contains(fixture.Server.Options.Log.GetRecords(), static record => record.Name == "DrainNotEnded");
    }
}
