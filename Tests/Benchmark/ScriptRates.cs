namespace C10kServer.Benchmark;

/// <summary>Lines through a script handler, beside the same through the built-in echo.</summary>
internal static class ScriptRates
{
    private const string Echo = "-Protocol Echo";

    private static readonly int[] Depths = [1, 16];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        // A worker, a handler thread and the load are more than one processor's work: the kernel places them.
        Contestant[] contestants =
        [
            Contestant.Module($"-Workers {options.Workers}", Echo),
            Script(1, options.Workers),
            Script(2, options.Workers),
        ];
        int rounds = Math.Min(options.Rounds, 5);
        string seconds = options.Quick ? "0.5" : "2";
        var findings = new Dictionary<(int Depth, string Server), List<Finding>>();
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
                        if (i > 0 && !findings.TryAdd((depth, server.Name), [finding]))
                        {
                            findings[(depth, server.Name)].Add(finding);
                        }

                        Report.Progress($"{i} of {rounds}, {depth} in flight: {server.Name} {finding.Rate.Text()}/s");
                    }
                }
            }
        }
        finally
        {
            servers.ForEach(static server => server.Dispose());
        }

        report.Heading(2, "Script handlers");
        report.Paragraph(
            $"`Start-C10kServer -Framing Line -ScriptBlock {{ $_ }}` against the built-in echo: lines of 64 bytes on 100 connections, medians of {rounds} rounds of " +
            $"{seconds} s, {options.Workers} worker(s), nothing pinned. The client is the tests' own, in a process beside, which numbers its lines and verifies each.");
        report.Table(
            ["in flight", "server", "lines per s", "ratio", "CPU us", "p50 us", "p99 us"],
            from depth in Depths from server in contestants select Row(depth, server.Name));
        report.Table(Target.Columns, [new Target("1 in flight, one handler thread: rate, to the built-in echo", 0.6, double.NaN, AtLeast: true).Row(Ratio(1, contestants[1].Name))]);

        string[] Row(int depth, string server) =>
        [
            $"{depth}", server, Of(depth, server, static f => f.Rate).Text(), Ratio(depth, server).Text("0.00"), Of(depth, server, static f => f.Cpu).Text("0.00"),
            Of(depth, server, static f => f.P50).Text(), Of(depth, server, static f => f.P99).Text(),
        ];

        double Of(int depth, string server, Func<Finding, double> figure) => findings[(depth, server)].Select(figure).Median();

        double Ratio(int depth, string server) =>
            findings[(depth, server)].Zip(findings[(depth, Echo)], static (one, other) => one.Rate / other.Rate).Median();
    }

    private static Contestant Script(int handlers, int workers) =>
        Contestant.Module($"-Workers {workers} -Framing Line -HandlerCount {handlers} -ScriptBlock {{ $_ }}", $"-ScriptBlock {{ $_ }} -HandlerCount {handlers}");

    private static Finding Find(ServerProcess server, int depth, string seconds)
    {
        TimeSpan cpu = server.Process.CpuTime;
        IReadOnlyDictionary<string, string> answer =
            Client.Run(server.EndPoint.Port, "echo", "--lines", "--count", "100", "--depth", $"{depth}", "--seconds", seconds);
        cpu = server.Process.CpuTime - cpu;
        return new Finding(answer.Number("rate"), cpu.TotalMicroseconds / answer.Number("messages"), answer.Number("p50"), answer.Number("p99"));
    }

    private sealed record Finding(double Rate, double Cpu, double P50, double P99);
}
