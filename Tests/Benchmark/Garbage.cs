using System.Globalization;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>What the module's process allocates and collects while it echoes.</summary>
internal static class Garbage
{
    private const string Question =
        "'{0} {1} {2} {3}' -f " +
        "[GC]::CollectionCount(0), [GC]::CollectionCount(1), [GC]::CollectionCount(2), [GC]::GetTotalAllocatedBytes($true)";

    internal static void Add(BenchmarkOptions options, Report report)
    {
        TimeSpan time = TimeSpan.FromSeconds(options.Quick ? 3 : 60);
        TimeSpan idle = TimeSpan.FromSeconds(options.Quick ? 1 : 10);
        using ServerProcess server = options.Start(options.Module);
        Case hundred = Case.Named(Case.Hundred);
        _ = Measurement.Take(server, hundred, TimeSpan.FromSeconds(options.Quick ? 0.5 : 3));

        // To answer costs the shell some memory too: the same each time, once its own code is compiled.
        for (int i = 0; i < 20; i++)
        {
            Look(server);
        }

        long[] first = Look(server);
        long[] second = Look(server);
        long answer = second[3] - first[3];
        Thread.Sleep(idle);
        long[] rested = Look(server);

        // It ends with the method.
        using var load = new LoadGenerator(hundred.With(new LoadOptions { Target = server.EndPoint, Duration = TimeSpan.FromHours(1) }));
        load.Start();
        Measurement.WaitFor(load, LoadPhase.Sending);
        Look(server);
        long[] before = Look(server);
        long requests = load.Progress.Requests;
        Thread.Sleep(time);
        requests = load.Progress.Requests - requests;
        long[] after = Look(server);
        double bytes = Allocated(before, after);
        report.Heading(2, "Garbage");
        report.Paragraph(
            $"Of the module's process, shell included, at 100 connections in steady state. What the question takes, {answer:N0} bytes " +
            "each time, give or take a few hundred, is left out.");
        report.Table(
            ["while", "seconds", "requests", "bytes allocated", "for a million requests", "collections (0, 1, 2)"],
            [
                ["idle", idle.TotalSeconds.Text(), "0", Allocated(second, rested).Text(), "–", Count(second, rested)],
                [
                    "echoing", time.TotalSeconds.Text(), ((double)requests).Text(), bytes.Text(), (bytes / requests * 1e6).Text(),
                    Count(before, after),
                ],
            ]);
        report.Table(Target.Columns,
        [
            new Target($"Collections in {time.TotalSeconds} s of echo", 0, 0, "0").Row(after[0] - before[0]),
            new Target("Bytes allocated a message", 0, 0, "0.00").Row(bytes / requests),
        ]);

        double Allocated(long[] earlier, long[] later) => Math.Max(0, later[3] - earlier[3] - answer);
    }

    private static long[] Look(ServerProcess server) =>
        [.. server.Shell!.Ask(Question).Split(' ').Select(static number => long.Parse(number, CultureInfo.InvariantCulture))];

    private static string Count(long[] before, long[] after) => string.Join(", ", Enumerable.Range(0, 3).Select(i => after[i] - before[i]));
}
