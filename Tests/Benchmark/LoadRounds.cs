namespace C10kServer.Benchmark;

/// <summary>
/// Measures servers against each other, interleaved: all run at the same time and one is under load; each case is measured on all,
/// right after one another, in rounds. So a slow minute of the machine hits all of them, and ratios within a round are fair.
/// </summary>
internal sealed class LoadRounds
{
    // The spinning is worth what a wake-up costs, some 50 us on a virtual machine.
    private const int BusyPollMicroseconds = 50;

    /// <summary>The module that spins before it blocks; it is there with <see cref="Case.One"/> alone.</summary>
    internal static readonly string BusyPollName = $"{Contestant.ModuleName} -BusyPoll {BusyPollMicroseconds}";

    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1.5);

    private readonly List<Dictionary<(string Case, string Server), Measurement>> _rounds = [];

    private LoadRounds(IReadOnlyList<string> servers) => Servers = servers;

    /// <summary>The servers' names, in the tables' order.</summary>
    internal IReadOnlyList<string> Servers { get; }

    internal static LoadRounds Run(BenchmarkOptions options)
    {
        List<Contestant> contestants = [options.Module, Contestant.Socket, Contestant.Kestrel];
        if (options.Cases.Any(static what => what.Name == Case.One))
        {
            string spinning = $"-Workers {options.Workers} -BusyPoll {BusyPollMicroseconds}";
            contestants.Insert(1, Contestant.Module(spinning, BusyPollName));
        }

        if (options.Reference is { } reference)
        {
            contestants.Insert(0, Contestant.Of(reference, options.Workers));
        }

        var rounds = new LoadRounds([.. contestants.Select(static c => c.Name)]);
        List<ServerProcess> servers = [];
        try
        {
            foreach (Contestant contestant in contestants)
            {
                servers.Add(options.Start(contestant));
            }

            WarmUpAll(servers, options);
            for (int i = 1; i <= options.Rounds; i++)
            {
                rounds._rounds.Add(Round(servers, options, $"round {i} of {options.Rounds}"));
            }
        }
        finally
        {
            servers.ForEach(static server => server.Dispose());
        }

        return rounds;
    }

    /// <summary>A figure of each round in which it was measured.</summary>
    internal IReadOnlyList<double> Of(string what, string server, Func<Measurement, double> figure) =>
        [.. _rounds.Select(round => round.GetValueOrDefault((what, server))).OfType<Measurement>().Select(figure)];

    /// <summary>The median of the ratios within a round; not a number where one of the two was not measured.</summary>
    internal double Ratio(string what, string server, string baseline, Func<Measurement, double> figure) =>
        Ratio((what, server), (what, baseline), figure);

    internal double Ratio((string Case, string Server) one, (string Case, string Server) other, Func<Measurement, double> figure) =>
        _rounds.Where(round => round.ContainsKey(one) && round.ContainsKey(other))
            .Select(round => figure(round[one]) / figure(round[other]))
            .Median();

    private static Dictionary<(string Case, string Server), Measurement> Round(
        List<ServerProcess> servers, BenchmarkOptions options, string name)
    {
        var round = new Dictionary<(string Case, string Server), Measurement>();
        foreach (Case what in options.Cases)
        {
            ServerProcess[] order = [.. servers.Where(server => server.Name != BusyPollName || what.Name == Case.One)];
            Random.Shared.Shuffle(order);
            foreach (ServerProcess server in order)
            {
                Measurement measurement = Measurement.Take(server, what, options);
                Report.Progress(
                    $"{name}, {what.Name}: {server.Name} {measurement.Rate.Text()}/s {measurement.Cpu.Text("0.00")} us, " +
                    $"others {measurement.Noise.Text("0 %")}");
                if (double.IsFinite(measurement.Noise))
                {
                    round[(what.Name, server.Name)] = measurement;
                }
            }
        }

        return round;
    }

    /// <summary>A load that nobody counts, so that just-in-time compilers get their time.</summary>
    private static void WarmUpAll(List<ServerProcess> servers, BenchmarkOptions options)
    {
        BenchmarkOptions once = options with { Tries = 1 };
        foreach (ServerProcess server in servers)
        {
            _ = Measurement.Take(server, Case.Named(Case.Hundred), options.Quick ? options.Duration : WarmUp);
        }

        _ = Round(servers, once, "warm-up");
    }
}
