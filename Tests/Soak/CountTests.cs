using C10kServer.Soak.Tests.Support;

namespace C10kServer.Soak.Tests;

/// <summary>Large numbers of connections that all do the same, each of which is accounted for.</summary>
public sealed class CountTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    [Fact]
    public void Fifty_thousand_connections_come_and_go_and_every_one_and_every_byte_is_counted()
    {
        using var server = new ServerProcess();
        Answer before = server.Rest();
        Answer clients = Clients.Run(Patience, server, "churn", "--total", "50000", "--size", "200", "--timeout", "290");
        output.WriteLine(clients.Text);
        Answer after = server.Rest();
        output.WriteLine(after.Text);

        Assert.Equal(50000, clients["cycles"]);
        Assert.Equal(50000, clients["connected"]);
        var change = new Change(before, after);
        change.AssertConnections(clients);
        change.AssertBytesEqual(clients);
        AssertUnharmed(before, after);
    }

    [Fact]
    public void Two_hundred_clients_that_finish_sending_get_their_whole_answer_of_four_megabytes()
    {
        using var server = new ServerProcess();
        Answer before = server.Rest();
        Answer clients = Clients.Run(
            Patience, server, "misbehave", "--kind", "half-close", "--size", "4000000", "--count", "200", "--timeout", "290");
        output.WriteLine(clients.Text);
        Answer after = server.Rest();
        output.WriteLine(after.Text);

        Assert.Equal(200, clients["behaved"]);
        Assert.Equal(200, clients["ended"]);
        Assert.Equal(200 * 4_000_000L, clients["received"]);
        var change = new Change(before, after);
        change.AssertConnections(clients);
        change.AssertBytesEqual(clients);
        AssertUnharmed(before, after);
    }

    private static void AssertUnharmed(Answer before, Answer after)
    {
        Assert.Equal("Running", after.Of("state"));
        Assert.Equal("none", after.Of("last_error"));
        Assert.Equal(0, after["handler_errors"]);
        Assert.Equal(0, after["accept_errors"]);
        Assert.Equal(before["descriptors"], after["descriptors"]);
        Assert.Equal(before["threads"], after["threads"]);
    }
}
