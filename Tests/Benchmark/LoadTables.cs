namespace C10kServer.Benchmark;

/// <summary>The tables of the load cases, and what is to be reached in them.</summary>
internal static class LoadTables
{
    private static readonly string[] Columns =
    [
        "server", "per s", "ratio", "CPU us", "ratio", "p50 us", "ratio", "p99 us", "ratio", "p99.9 us", "ratio", "server busy",
        "load busy", "errors",
    ];

    // Those in which as many requests are in flight all the time.
    private static readonly string[] Closed = [Case.Hundred, Case.Thousand, Case.TenThousand, Case.Mix, Case.Pipelined, Case.Big];

    private static readonly string[] Busy = [Case.Hundred, Case.Pipelined];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        LoadRounds rounds = LoadRounds.Run(options);
        report.Heading(2, "Load");
        report.Paragraph(
            $"Medians of {options.Rounds} rounds of {options.Duration.TotalSeconds} s, after one that does not count. All servers run " +
            "at the same time and one is under load; a round measures a case on all of them right after one another, in a new order " +
            $"each time. Ratios are medians of the ratios to the first line within a round. {Placement(options)} Messages have 64 " +
            "bytes, and every byte that comes back is verified. CPU is the server's processor time for a request, all its threads " +
            $"together, as the scheduler counts it. A measurement during which others took more than {100 * options.Noise:0} % of the " +
            $"machine is taken again, {options.Tries} times in all at most; the quietest counts.");
        foreach (Case what in options.Cases)
        {
            report.Heading(3, $"{what.Title} (`{what.Name}`)");
            string[] servers = [.. rounds.Servers.Where(server => rounds.Of(what.Name, server, static m => m.Rate).Count > 0)];
            report.Table(Columns, servers.Select(server => Row(rounds, what, server, servers[0])));
            double[] noise = [.. servers.SelectMany(server => rounds.Of(what.Name, server, static m => m.Noise))];
            int disturbed = noise.Count(value => value > options.Noise);
            if (disturbed > 0)
            {
                report.Paragraph(
                    $"Others disturbed {disturbed} of these {noise.Length} measurements to the last try; they took " +
                    $"{100 * noise.Median():0.0} % of the machine at the median.");
            }
        }

        report.Heading(3, "Targets");
        report.Table(Target.Columns, Targets(options, rounds));
    }

    private static string Placement(BenchmarkOptions options) => options.Pinned
        ? $"Servers have one processor, the load has another; the module and the reference have {options.Workers} worker(s)."
        : $"Nothing is pinned to a processor; the module and the reference have {options.Workers} worker(s).";

    private static string[] Row(LoadRounds rounds, Case what, string server, string baseline)
    {
        return
        [
            server, Of(static m => m.Rate, "N0"), Ratio(static m => m.Rate), Of(static m => m.Cpu, "N2"), Ratio(static m => m.Cpu),
            Of(static m => m.P50, "N0"), Ratio(static m => m.P50), Of(static m => m.P99, "N0"), Ratio(static m => m.P99),
            Of(static m => m.P999, "N0"), Ratio(static m => m.P999), Of(static m => m.ServerBusy, "0 %"), Of(static m => m.LoadBusy, "0 %"),
            rounds.Of(what.Name, server, static m => m.Errors).Sum().Text(),
        ];

        string Of(Func<Measurement, double> figure, string format) => rounds.Of(what.Name, server, figure).Median().Text(format);

        string Ratio(Func<Measurement, double> figure) =>
            server == baseline ? "1" : rounds.Ratio(what.Name, server, baseline, figure).Text("0.00");
    }

    private static IEnumerable<string[]> Targets(BenchmarkOptions options, LoadRounds rounds)
    {
        if (options.Reference is not null)
        {
            foreach (string what in Closed.Where(Measured))
            {
                yield return new Target($"`{what}`: rate, to the reference", 0.95, 1, AtLeast: true)
                    .Row(ToReference(what, static m => m.Rate));
                yield return new Target($"`{what}`: CPU for a request, to the reference", 1.05, 1)
                    .Row(ToReference(what, static m => m.Cpu));
            }

            if (Measured(Case.Churn))
            {
                yield return new Target("`churn`: CPU for a connection, to the reference", 1, 0.85)
                    .Row(ToReference(Case.Churn, static m => m.Cpu));
            }

            if (Measured(Case.One))
            {
                yield return new Target("`e1`: p50, to the reference", 1, 1).Row(ToReference(Case.One, static m => m.P50));
                yield return new Target("`e1`: p50 with -BusyPoll, to the reference", 1, 0.45)
                    .Row(rounds.Ratio(Case.One, LoadRounds.BusyPollName, Contestant.ReferenceName, static m => m.P50));
            }

            foreach (string what in Busy.Where(Measured))
            {
                yield return new Target($"`{what}`: p99, to the reference", 1.2, 1).Row(ToReference(what, static m => m.P99));
                yield return new Target($"`{what}`: p99.9, to the reference", 1.5, 1.2).Row(ToReference(what, static m => m.P999));
            }
        }

        foreach (string what in Busy.Where(Measured))
        {
            foreach (string other in new[] { Contestant.SocketName, Contestant.KestrelName })
            {
                yield return new Target($"`{what}`: CPU for a request, to {other}", 0.55, 0.5)
                    .Row(rounds.Ratio(what, Contestant.ModuleName, other, static m => m.Cpu));
            }
        }

        if (Measured(Case.Mix) && Measured(Case.Hundred))
        {
            (string, string) mix = (Case.Mix, Contestant.ModuleName);
            (string, string) alone = (Case.Hundred, Contestant.ModuleName);
            yield return new Target("CPU for a request among 10,000 idle connections, to that without them", 1.05, 1)
                .Row(rounds.Ratio(mix, alone, static m => m.Cpu));
        }

        bool Measured(string name) => options.Cases.Any(what => what.Name == name);

        double ToReference(string what, Func<Measurement, double> figure) =>
            rounds.Ratio(what, Contestant.ModuleName, Contestant.ReferenceName, figure);
    }
}
