namespace C10kServer.Benchmark;

/// <summary>What idle connections cost of memory, and how fast they are opened, on a fresh server each time.</summary>
internal static class MemoryCost
{
    private const string ScriptName = $"{Contestant.ModuleName}, script handler";

    // The second is what 20,000 descriptors a process, a common hard limit, leave room for.
    private static readonly int[] Counts = [10_000, 19_000];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        List<Contestant> contestants =
        [
            options.Module,
            Contestant.Module($"-Workers {options.Workers} -Framing Line -ScriptBlock {{ $_ }}", ScriptName),
            Contestant.Socket,
            Contestant.Kestrel,
        ];
        if (options.Reference is { } reference)
        {
            contestants.Insert(0, Contestant.Of(reference, options.Workers));
        }

        int repeats = options.Quick ? 1 : 3;
        var findings = new Dictionary<(int Count, string Server), List<Finding>>();
        for (int i = 1; i <= repeats; i++)
        {
            foreach (int count in Counts)
            {
                foreach (Contestant contestant in contestants)
                {
                    Finding finding = Find(contestant, count, options);
                    if (!findings.TryAdd((count, contestant.Name), [finding]))
                    {
                        findings[(count, contestant.Name)].Add(finding);
                    }

                    Report.Progress($"{i} of {repeats}, {count}: {contestant.Name} {finding.Echoed.Text()} bytes, {finding.OpenRate.Text()}/s");
                }
            }
        }

        report.Heading(2, "Memory, and opening");
        report.Paragraph(
            $"Medians of {repeats} fresh server(s). Bytes are what the process's resident memory grows by, for each connection: while they are open and have said nothing, " +
            "and after one echo on each, all still open. Before, ten thousand lines on 500 connections have taken what is needed once; the module's shell has " +
            "then given back what it had no more use for. A client process holds the connections, which it opens 128 at a time; its own start is part of that time.");
        report.Table(
            ["connections", "server", "bytes each, open", "after one echo", "opened per s", "ratio", "worst connect ms", "failed"],
            from count in Counts from contestant in contestants select Row(count, contestant.Name));
        report.Table(Target.Columns, Targets());

        string[] Row(int count, string server) =>
        [
            count.ToString("N0", System.Globalization.CultureInfo.InvariantCulture), server, Of(count, server, static f => f.Opened).Text(),
            Of(count, server, static f => f.Echoed).Text(), Of(count, server, static f => f.OpenRate).Text(), OpenRatio(count, server).Text("0.00"),
            Of(count, server, static f => f.WorstConnect).Text("0.0"), Of(count, server, static f => f.Failed).Text(),
        ];

        double Of(int count, string server, Func<Finding, double> figure) => findings[(count, server)].Select(figure).Median();

        double OpenRatio(int count, string server) => options.Reference is null
            ? double.NaN
            : findings[(count, server)].Zip(findings[(count, Contestant.ReferenceName)], static (one, other) => one.OpenRate / other.OpenRate).Median();

        IEnumerable<string[]> Targets()
        {
            foreach ((int count, int must, int aim) in new[] { (10_000, 400, 300), (19_000, 300, 200) })
            {
                yield return new Target($"Bytes for each of {count:N0} after one echo", must, aim, "0").Row(Of(count, Contestant.ModuleName, static f => f.Echoed));
            }

            yield return new Target("Bytes for each of 10,000 with a script handler, before the first message", 600, double.NaN, "0")
                .Row(Of(10_000, ScriptName, static f => f.Opened));
            yield return new Target("Rate of opening 19,000, to the reference", 0.9, 1, AtLeast: true).Row(OpenRatio(19_000, Contestant.ModuleName));
            yield return new Target("Worst connect of 19,000, ms", 100, double.NaN, "0.0").Row(Of(19_000, Contestant.ModuleName, static f => f.WorstConnect));
            yield return new Target("Failed of 19,000", 0, double.NaN, "0").Row(findings[(19_000, Contestant.ModuleName)].Sum(static f => f.Failed));
        }
    }

    private static Finding Find(Contestant contestant, int count, BenchmarkOptions options)
    {
        using ServerProcess server = options.Start(contestant);
        int port = server.EndPoint.Port;
        _ = Client.Run(port, "echo", "--lines", "--count", "500", "--messages", "20");

        // Aggressive gives back what it frees. Otherwise connections would fill room that is counted already, and seem to cost nothing.
        _ = server.Shell?.Ask("[GC]::Collect(2, [GCCollectionMode]::Aggressive, $true, $true)");
        long before = server.Process.ResidentBytes;
        IReadOnlyDictionary<string, string> connected;
        double opened, echoed;
        using (Client client = Client.Hold(port, count, out connected))
        {
            opened = (double)(server.Process.ResidentBytes - before) / count;
            _ = client.Ask("echo 1 64");
            echoed = (double)(server.Process.ResidentBytes - before) / count;
            client.Quit();
        }

        return new Finding(opened, echoed, count / connected.Number("seconds"), 1000 * connected.Number("slowest"), connected.Number("failed"));
    }

    private sealed record Finding(double Opened, double Echoed, double OpenRate, double WorstConnect, double Failed);
}
