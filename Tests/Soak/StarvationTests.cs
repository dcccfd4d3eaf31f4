using C10kServer.Soak.Tests.Support;

namespace C10kServer.Soak.Tests;

/// <summary>A process whose connections have used up its descriptors.</summary>
public sealed class StarvationTests
{
    [Fact]
    public void While_connections_have_used_up_the_descriptors_the_process_can_still_start_threads_and_open_files()
    {
        using var server = new ServerProcess();
        _ = server.Ask("thread");
        Answer calm = server.Stats();
        int atRest = server.OpenDescriptors;
        using var clients = new Clients(server, "mix", "--kinds", "vanish", "--count", "200", "--duration", "8", "--seed", "5");

        // Room for a hundred connections: the others wait until these are over.
        _ = server.WithDescriptorLimit(atRest + 100, () =>
        {
            Answer starved = calm;
            Eventually.True(() => (starved = server.Stats())["accept_errors"] > calm["accept_errors"], "descriptors run out");
            Assert.Equal("Running", starved.Of("state"));
            return Enumerable.Range(0, 10).Select(_ => server.Ask("thread")).ToList();
        });
        Answer ended = clients.End(TimeSpan.FromMinutes(5));
        Answer rest = server.Rest();
        Assert.Equal(ended["connected"], rest["accepted"]);
        Assert.Equal("Running", rest.Of("state"));
        Assert.Equal("none", rest.Of("last_error"));
    }
}
