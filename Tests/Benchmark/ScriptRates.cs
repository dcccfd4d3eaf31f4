namespace C10kServer.Benchmark;

/// <summary>Lines through a script handler, beside the same through the built-in echo.</summary>
internal sealed class ScriptRates
{
    private const string Echo = "-Protocol Echo";

    private static readonly int[] Depths = [1, 16];

    private readonly Dictionary<(int Depth, string Server), List<Finding>> _findings = [];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        Contestant[] contestants =
        [
            Contestant.Module($"-Workers {options.Workers}", Echo),
            Script(1, options.Workers),
            Script(2, options.Workers),
        ];
        int rounds = Math.Min(options.Rounds, 5);
        string seconds = options.Quick ? "0.5" : "2";
        ScriptRates rates = Run(contestants, rounds, seconds);
        report.Heading(2, "Script handlers");
        report.Paragraph(
            "`Start-C10kServer -Framing Line -ScriptBlock { $_ }` against the built-in echo: lines of 64 bytes on 100 connections, " +
            $"medians of {rounds} rounds of {seconds} s, {options.Workers} worker(s), nothing pinned. The client is the tests' own, in " +
            "a process beside, which numbers its lines and verifies each.");
        report.Table(
            ["in flight", "server", "lines per s", "ratio", "CPU us", "p50 us", "p99 us"],
            Depths.SelectMany(depth => contestants.Select(contestant => rates.Row(depth, contestant.Name))));
        report.Table(
            Target.Columns,
            [
                new Target("1 in flight, one handler thread: rate, to the built-in echo", 0.6, double.NaN, AtLeast: true)
                    .Row(rates.Ratio(1, contestants[1].Name)),
            ]);
    }

    private static Contestant Script(int handlers, int workers)
    {
        string options = $"-ScriptBlock {{ $_ }} -HandlerCount {handlers}";
        return Contestant.Module($"-Workers {workers} -Framing Line {options}", options);
    }

    /// <summary>A worker, a handler thread and the load are more than one processor's work, so the kernel places them.</summary>
    private static ScriptRates Run(IReadOnlyList<Contestant> contestants, int rounds, string seconds)
    {
        var rates = new ScriptRates();
        List<ServerProcess> servers = [];
        try
        {
            foreach (Contestant contestant in contestants)
            {
                servers.Add(Processors.OnAll(contestant.Start));
            }

            // The first round is for the compilers.
            for (int i = 0; i <= rounds; i++)
            {
                foreach (int depth in Depths)
                {
                    foreach (ServerProcess server in servers)
                    {
                        Finding finding = Processors.OnAll(() => Find(server, depth, seconds));
                        Report.Progress($"{i} of {rounds}, {depth} in flight: {server.Name} {finding.Rate.Text()}/s");
                        if (i > 0)
                        {
                            rates._findings.Add((depth, server.Name), finding);
                        }
                    }
                }
            }
        }
        finally
        {
            servers.ForEach(static server => server.Dispose());
        }

        return rates;
    }

    private static Finding Find(ServerProcess server, int depth, string seconds)
    {
        TimeSpan cpu = server.Process.CpuTime;
        Answer answer = Client.Run(server.EndPoint.Port, "echo", "--count", "100", "--depth", $"{depth}", "--seconds", seconds);
        cpu = server.Process.CpuTime - cpu;
        return new Finding(answer["rate"], cpu.TotalMicroseconds / answer["messages"], answer["p50"], answer["p99"]);
    }

    private string[] Row(int depth, string server) =>
    [
        $"{depth}",
        server,
        Of(depth, server, static f => f.Rate).Text(),
        Ratio(depth, server).Text("0.00"),
        Of(depth, server, static f => f.Cpu).Text("0.00"),
        Of(depth, server, static f => f.P50).Text(),
        Of(depth, server, static f => f.P99).Text(),
    ];

    private double Of(int depth, string server, Func<Finding, double> figure) => _findings[(depth, server)].Select(figure).Median();

    private double Ratio(int depth, string server) =>
        _findings[(depth, server)].Zip(_findings[(depth, Echo)], static (one, other) => one.Rate / other.Rate).Median();

    private sealed record Finding(double Rate, double Cpu, double P50, double P99);
}
