namespace C10kServer.Benchmark;

/// <summary>What idle connections cost of memory, and how fast they are opened, on a fresh server each time.</summary>
internal sealed class MemoryCost
{
    private const string ScriptName = $"{Contestant.ModuleName}, script handler";
    private const int Many = 10_000;

    // What a hard limit of 20,000 descriptors a process leaves room for.
    private const int Most = 19_000;

    private static readonly int[] Counts = [Many, Most];

    private readonly Dictionary<(int Count, string Server), List<Finding>> _findings = [];

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
        var cost = new MemoryCost();
        for (int i = 1; i <= repeats; i++)
        {
            foreach (int count in Counts)
            {
                foreach (Contestant contestant in contestants)
                {
                    Activity.WaitForQuiet(options.Noise, options.QuietWait);
                    Finding finding = Find(contestant, count, options);
                    cost._findings.Add((count, contestant.Name), finding);
                    Report.Progress(
                        $"{i} of {repeats}, {count}: {contestant.Name} {finding.Echoed.Text()} bytes, {finding.OpenRate.Text()}/s");
                }
            }
        }

        report.Heading(2, "Memory, and opening");
        report.Paragraph(
            $"Medians of {repeats} fresh servers. Bytes are what the process's resident memory grows by, for each connection: while " +
            "they are open and have said nothing, and after one echo on each, all still open. Before, ten thousand lines on 500 " +
            "connections have taken what is needed once; the module's shell has then given back what it had no more use for. A client " +
            "process holds the connections, which it opens 128 at a time; its own start is part of that time.");
        report.Table(
            ["connections", "server", "bytes each, open", "after one echo", "opened per s", "ratio", "worst connect ms", "failed"],
            Counts.SelectMany(count => contestants.Select(contestant => cost.Row(count, contestant.Name))));
        report.Table(Target.Columns, cost.Targets());
    }

    private static Finding Find(Contestant contestant, int count, BenchmarkOptions options)
    {
        using ServerProcess server = options.Start(contestant);
        int port = server.EndPoint.Port;
        _ = Client.Run(port, "echo", "--count", "500", "--messages", "20");

        // Aggressive gives back what it frees. Otherwise connections would fill room that is counted already, and seem to cost nothing.
        _ = server.Shell?.Ask("[GC]::Collect(2, [GCCollectionMode]::Aggressive, $true, $true)");
        long before = server.Process.ResidentBytes;
        using Client client = Client.Hold(port, count, out Answer connected);
        long open = server.Process.ResidentBytes;
        _ = client.Ask("echo 1 64");
        long echoed = server.Process.ResidentBytes;
        client.Quit();
        return new Finding(
            (double)(open - before) / count,
            (double)(echoed - before) / count,
            count / connected["seconds"],
            1000 * connected["slowest"],
            connected["failed"]);
    }

    private string[] Row(int count, string server) =>
    [
        ((double)count).Text(),
        server,
        Of(count, server, static f => f.Opened).Text(),
        Of(count, server, static f => f.Echoed).Text(),
        Of(count, server, static f => f.OpenRate).Text(),
        OpenRatio(count, server).Text("0.00"),
        Of(count, server, static f => f.WorstConnect).Text("0"),
        Of(count, server, static f => f.Failed).Text(),
    ];

    private IEnumerable<string[]> Targets()
    {
        const string Module = Contestant.ModuleName;
        return
        [
            new Target("Bytes for each of 10,000 after one echo", 400, 300, "0").Row(Of(Many, Module, static f => f.Echoed)),
            new Target("Bytes for each of 19,000 after one echo", 300, 200, "0").Row(Of(Most, Module, static f => f.Echoed)),
            new Target("Bytes for each of 10,000 with a script handler, before the first message", 600, double.NaN, "0")
                .Row(Of(Many, ScriptName, static f => f.Opened)),
            new Target("Rate of opening 19,000, to the reference", 0.9, double.NaN, AtLeast: true).Row(OpenRatio(Most, Module)),
            new Target("Worst connect of 19,000, ms", 100, double.NaN, "0").Row(Of(Most, Module, static f => f.WorstConnect)),
            new Target("Failed of 19,000", 0, double.NaN, "0").Row(_findings[(Most, Module)].Sum(static f => f.Failed)),
        ];
    }

    private double Of(int count, string server, Func<Finding, double> figure) => _findings[(count, server)].Select(figure).Median();

    private double OpenRatio(int count, string server) =>
        _findings.TryGetValue((count, Contestant.ReferenceName), out List<Finding>? reference)
            ? _findings[(count, server)].Zip(reference, static (one, other) => one.OpenRate / other.OpenRate).Median()
            : double.NaN;

    private sealed record Finding(double Opened, double Echoed, double OpenRate, double WorstConnect, double Failed);
}
