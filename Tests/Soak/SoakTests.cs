using System.Globalization;
using System.Net;
using System.Net.Sockets;
using C10kServer.Soak.Tests.Support;

namespace C10kServer.Soak.Tests;

/// <summary>
/// A server among clients that talk, half-close, reset, dawdle, send garbage and vanish, while its process loses its descriptors
/// and is stopped now and then. C10KSERVER_SOAK_SECONDS says for how long; a minute where it is not set.
/// </summary>
public sealed class SoakTests(ITestOutputHelper output)
{
    private const double LargestDrift = 0.05;
    private const double SettledDrift = 0.01;
    private const int MostRounds = 8;

    // Those that wait for all they are owed and read to the server's end.
    private static readonly string[] Orderly = ["--kinds", "echo", "half-close", "slow-read", "slow-write"];

    private static readonly TimeSpan Starvation = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Standstill = TimeSpan.FromSeconds(1);

    // For the connections that are open when no more are begun: the longest silence is ten seconds.
    private static readonly TimeSpan Ending = TimeSpan.FromSeconds(160);

    private static readonly TimeSpan WarmUpRound = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan Exact = TimeSpan.FromSeconds(4);

    private static TimeSpan Duration => TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("C10KSERVER_SOAK_SECONDS"), CultureInfo.InvariantCulture, out double seconds)
            ? seconds : 60);

    // Connections of the test's own to a server whose clients are at their end.
    private int _knocks;

    [Fact]
    public void A_server_is_after_a_long_mix_of_clients_what_it_was_before()
    {
        using var server = new ServerProcess();

        WarmUp(server);
        MixExactly(server, seed: 2);
        Answer before = server.Rest();
        long rssBefore = server.CollectedRss();

        (Answer clients, int disturbances) = Mix(server, Duration, seed: 3, disturbed: true);
        Answer after = server.Rest();
        long rssAfter = server.CollectedRss();
        double drift = (rssAfter - rssBefore) / (double)rssBefore;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"RSS at rest: {rssBefore} kB, then {rssAfter} kB ({drift:+0.00%;-0.00%}); uncollected {before["rss"]} and {after["rss"]} kB"));

        AssertMix(clients, new Change(before, after), disturbances);
        Assert.Equal(before["descriptors"], after["descriptors"]);
        Assert.Equal(before["threads"], after["threads"]);
        Assert.True(drift < LargestDrift, $"{rssBefore} kB have become {rssAfter} kB");

        // It is as exact as it was.
        MixExactly(server, seed: 4);

        Answer stopped = server.Ask("stop");
        output.WriteLine(stopped.Text);
        Assert.Equal("Stopped", stopped.Of("state"));
        Assert.Equal(stopped["accepted"], stopped["closed"]);
        Assert.Equal(server.Before["descriptors"], stopped["descriptors"]);
        Assert.Equal(server.Before["threads"], stopped["threads"]);
        Assert.Equal(0, stopped["threads"]);
    }

    private void AssertMix(Answer clients, Change change, int disturbances)
    {
        change.AssertConnections(clients, _knocks);
        change.AssertBytesBounded(clients);

        // The disturbances have been felt, and have not cost a connection that had a right to go on.
        Assert.True(disturbances > 0, "nothing was disturbed");
        Assert.InRange(change["accept_errors"], disturbances, long.MaxValue);
        Assert.InRange(clients["noticed"], 1, long.MaxValue);
        foreach (string kind in (string[])["echo", "half-close", "reset", "slow-read", "slow-write", "garbage", "vanish"])
        {
            Assert.Equal(clients.Of(kind, "begun"), clients.Of(kind, "well"));
            Assert.InRange(clients.Of(kind, "begun"), 1, long.MaxValue);
        }
    }

    /// <summary>
    /// Does everything that will be done, until doing it again changes nothing: code is compiled, pools, tables and arenas have
    /// their size. One round is not enough, as the first full collection makes the heap lay itself out anew. What grows
    /// with each round never settles.
    /// </summary>
    private void WarmUp(ServerProcess server)
    {
        var rss = new List<long>();
        do
        {
            Assert.True(rss.Count < MostRounds, $"it does not settle: {string.Join(", ", rss)} kB");
            Mix(server, WarmUpRound, seed: 100 + rss.Count, disturbed: true, "--silence", "1");
            rss.Add(server.CollectedRss());
        }
        while (rss.Count < 2 || rss[^1] > rss[^2] * (1 + SettledDrift));
        output.WriteLine($"warm after {rss.Count} rounds: {string.Join(", ", rss)} kB");
    }

    private void MixExactly(ServerProcess server, int seed)
    {
        Answer before = server.Rest();
        Answer clients = Mix(server, Exact, seed, disturbed: false, Orderly).Clients;
        var change = new Change(before, server.Rest());
        change.AssertConnections(clients);
        change.AssertBytesEqual(clients);
    }

    /// <summary>Runs a mix to its end, and tells how often it was disturbed.</summary>
    private (Answer Clients, int Disturbances) Mix(
        ServerProcess server, TimeSpan time, int seed, bool disturbed, params IEnumerable<string> options)
    {
        string[] arguments =
        [
            "--duration", time.TotalSeconds.ToString(CultureInfo.InvariantCulture),
            "--timeout", Ending.TotalSeconds.ToString(CultureInfo.InvariantCulture),
            "--seed", seed.ToString(CultureInfo.InvariantCulture), .. options,
        ];
        int atRest = server.OpenDescriptors;
        using var mix = new Clients(server, "mix", arguments);
        int disturbances = 0;
        _knocks = 0;
        if (disturbed)
        {
            // What is begun before the time is over is over soon enough to be made good while connections still come.
            DateTime end = DateTime.UtcNow + time - Starvation - Standstill - Starvation;
            while (DateTime.UtcNow < end && !mix.HaveEnded)
            {
                Disturb(server, mix, disturbances++, atRest);
            }
        }

        Answer clients = mix.End(time + Ending + TimeSpan.FromSeconds(20));
        output.WriteLine(clients.Text);
        return (clients, disturbances);
    }

    /// <summary>Takes its descriptors away and gives them back, then stops it and lets it go on; each time it must recover.</summary>
    private void Disturb(ServerProcess server, Clients mix, int number, int atRest)
    {
        Answer calm = Accepting(server, mix, "before it is disturbed", out _);

        // By turns none for connections, or for half of them. It is left what it has at rest: a process that may not open
        // anything at all cannot even start a thread, which the runtime does now and then and does not survive.
        int connections = server.OpenDescriptors - atRest;
        server.Starve(atRest + (number % 2 == 0 ? 0 : connections / 2), Starvation);
        Answer starved = Accepting(server, mix, "once it has descriptors again", out TimeSpan recovery);
        Assert.InRange(starved["accept_errors"], calm["accept_errors"] + 1, long.MaxValue);

        server.Freeze(Standstill);
        Answer frozen = Accepting(server, mix, "once it goes on", out TimeSpan thaw);
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"disturbance {number}: {starved["accept_errors"] - calm["accept_errors"]} accept errors, accepts again after {recovery.TotalSeconds:F2} and {thaw.TotalSeconds:F2} s; {frozen.Text}"));
    }

    /// <summary>Waits until the server accepts. A server that has faulted stays so: nothing is missed between two looks.</summary>
    private Answer Accepting(ServerProcess server, Clients mix, string when, out TimeSpan time)
    {
        Answer first = server.Stats();
        Answer last = first;
        time = Eventually.True(
            () =>
            {
                if (mix.HaveEnded)
                {
                    // The machine stood still, and the clients' time is over: nobody connects any more but this.
                    Knock(server);
                }

                return (last = server.Stats())["accepted"] > first["accepted"];
            },
            () => $"it accepts {when}: {last.Text}");
        Assert.Equal("Running", last.Of("state"));
        Assert.Equal(0, last["handler_errors"]);
        return last;
    }

    private void Knock(ServerProcess server)
    {
        using var client = new TcpClient();
        client.Connect(IPAddress.Loopback, (int)server.Port);
        _knocks++;
    }
}
