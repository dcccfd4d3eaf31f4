using System.Globalization;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>What the module's process allocates and collects while it echoes.</summary>
internal static class Garbage
{
    // Looks twice from within one call, which by itself then costs some hundred bytes: a question for each look, compiled anew as all that
    // comes to a prompt, would cost a thousand times as much, and never the same.
    private const string Watch =
        "function Watch-Allocation([int] $Milliseconds) { " +
        "$count = [GC]::CollectionCount(0); $full = [GC]::CollectionCount(2); $bytes = [GC]::GetTotalAllocatedBytes($true); " +
        "[Threading.Thread]::Sleep($Milliseconds); " +
        "$bytes = [GC]::GetTotalAllocatedBytes($true) - $bytes; " +
        "'{0} {1} {2}' -f $bytes, ([GC]::CollectionCount(0) - $count), ([GC]::CollectionCount(2) - $full) }";

    internal static void Add(BenchmarkOptions options, Report report)
    {
        TimeSpan time = TimeSpan.FromSeconds(options.Quick ? 3 : 60);
        TimeSpan rest = TimeSpan.FromSeconds(options.Quick ? 1 : 10);
        using ServerProcess server = options.Start(options.Module);
        Case hundred = Case.Named(Case.Hundred);
        _ = Measurement.Take(server, hundred, TimeSpan.FromSeconds(options.Quick ? 0.5 : 3));
        server.Shell!.Ask(Watch);

        // Until its own code is compiled.
        for (int i = 0; i < 50; i++)
        {
            Take(server, TimeSpan.FromMilliseconds(20));
        }

        Look look = Take(server, TimeSpan.Zero);
        Look idle = Take(server, rest);

        // It ends with the method.
        using var load = new LoadGenerator(hundred.With(new LoadOptions { Target = server.EndPoint, Duration = TimeSpan.FromHours(1) }));
        load.Start();
        Measurement.WaitFor(load, LoadPhase.Sending);
        Take(server, TimeSpan.FromSeconds(1));
        long requests = load.Progress.Requests;
        Look busy = Take(server, time);
        requests = load.Progress.Requests - requests;
        report.Heading(2, "Garbage");
        report.Paragraph(
            $"Of the module's process, shell included, at 100 connections in steady state. To look costs {look.Bytes:N0} bytes by itself, which are " +
            "in these figures.");
        report.Table(
            ["while", "seconds", "requests", "bytes allocated", "for a million requests", "collections", "of generation 2"],
            [
                ["idle", rest.TotalSeconds.Text(), "0", ((double)idle.Bytes).Text(), "–", $"{idle.Collections}", $"{idle.Full}"],
                [
                    "echoing", time.TotalSeconds.Text(), ((double)requests).Text(), ((double)busy.Bytes).Text(),
                    (1e6 * busy.Bytes / requests).Text(), $"{busy.Collections}", $"{busy.Full}",
                ],
            ]);
        report.Table(Target.Columns,
        [
            new Target($"Collections in {time.TotalSeconds} s of echo", 0, 0, "0").Row(busy.Collections),
            new Target("Bytes allocated for a message", 0, 0, "0.000").Row((double)busy.Bytes / requests),
        ]);
    }

    private static Look Take(ServerProcess server, TimeSpan time)
    {
        string[] figures = server.Shell!.Ask(string.Create(CultureInfo.InvariantCulture, $"Watch-Allocation {time.TotalMilliseconds}")).Split(' ');
        return new Look(
            long.Parse(figures[0], CultureInfo.InvariantCulture),
            int.Parse(figures[1], CultureInfo.InvariantCulture),
            int.Parse(figures[2], CultureInfo.InvariantCulture));
    }

    private readonly record struct Look(long Bytes, int Collections, int Full);
}
