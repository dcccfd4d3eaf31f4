using System.Diagnostics;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>What a server did in one case of one round.</summary>
/// <param name="Rate">Requests a second.</param>
/// <param name="Cpu">The server's processor time for a request, in microseconds.</param>
/// <param name="P50">A latency in microseconds, as the next two.</param>
/// <param name="ServerBusy">The share of a processor that the server took, all its threads together.</param>
/// <param name="LoadBusy">Likewise the load.</param>
/// <param name="Noise">
/// The share of the machine that went to others; infinite where they left so little that there is nothing to say about the server.
/// </param>
/// <param name="Errors">Connections that failed.</param>
internal sealed record Measurement(
    double Rate, double Cpu, double P50, double P99, double P999, double ServerBusy, double LoadBusy, double Noise, long Errors)
{
    // The start of all connections at once is over by then, and so are those that the server had still to accept when the last one was
    // connected: the kernel keeps thousands of them.
    private static readonly TimeSpan LeadIn = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan LeadInForEach = TimeSpan.FromMicroseconds(30);

    // The load is still going on when the window ends, also where this thread wakes up late.
    private static readonly TimeSpan LeadOut = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Takes it, and again while others disturb it, so often at most. The quietest counts.</summary>
    internal static Measurement Take(ServerProcess server, Case what, BenchmarkOptions options)
    {
        Measurement? best = null;
        for (int i = 0; i < options.Tries && !(best?.Noise <= options.Noise); i++)
        {
            if (best is not null)
            {
                Activity.WaitForQuiet(options.Noise, options.QuietWait);
            }

            Measurement next = Take(server, what, options.Duration);
            best = best is null || next.Noise < best.Noise ? next : best;
        }

        return best!;
    }

    internal static Measurement Take(ServerProcess server, Case what, TimeSpan duration)
    {
        using LoadGenerator? idle = what.Idle > 0 ? Hold(server, what.Idle) : null;
        LoadOptions options = what.With(new LoadOptions { Target = server.EndPoint });
        TimeSpan leadIn = LeadIn + (LeadInForEach * options.Connections);
        using var load = new LoadGenerator(options with { Duration = leadIn + duration + LeadOut });
        load.Start();
        WaitFor(load, LoadPhase.Sending);
        Thread.Sleep(leadIn);
        Activity before = Activity.Look();
        TimeSpan serverCpu = server.Process.CpuTime;
        TimeSpan loadCpu = Libc.CpuTime(Environment.ProcessId);
        long requests = load.Progress.Requests;
        long begun = Stopwatch.GetTimestamp();
        Thread.Sleep(duration);
        requests = load.Progress.Requests - requests;
        TimeSpan time = Stopwatch.GetElapsedTime(begun);
        serverCpu = server.Process.CpuTime - serverCpu;
        loadCpu = Libc.CpuTime(Environment.ProcessId) - loadCpu;
        bool isWhole = load.Progress.Phase == LoadPhase.Sending && requests > 0;
        double noise = isWhole ? Activity.Look().NoiseSince(before, serverCpu + loadCpu) : double.PositiveInfinity;
        load.Wait(Timeout.InfiniteTimeSpan);
        LoadReport report = load.Report!;
        return new Measurement(
            requests / time.TotalSeconds,
            serverCpu.TotalMicroseconds / requests,
            report.Latency.Quantile(0.5).TotalMicroseconds,
            report.Latency.Quantile(0.99).TotalMicroseconds,
            report.Latency.Quantile(0.999).TotalMicroseconds,
            serverCpu / time,
            loadCpu / time,
            noise,
            report.Errors);
    }

    /// <summary>Connections that are open and idle until this is disposed of.</summary>
    private static LoadGenerator Hold(ServerProcess server, int count)
    {
        var idle = new LoadGenerator(
            new LoadOptions { Target = server.EndPoint, Mode = LoadMode.Idle, Connections = count, Duration = TimeSpan.FromHours(1) });
        idle.Start();
        WaitFor(idle, LoadPhase.Holding);
        return idle;
    }

    /// <summary>Waits until a load has come so far.</summary>
    internal static void WaitFor(LoadGenerator load, LoadPhase phase)
    {
        var waited = Stopwatch.StartNew();
        while (load.Progress.Phase < phase)
        {
            // The report of one that has failed throws why.
            if (load.Wait(TimeSpan.FromMilliseconds(2)))
            {
                _ = load.Report;
            }

            if (waited.Elapsed > Patience)
            {
                throw new TimeoutException($"The load has not come as far as {phase} in {Patience.TotalSeconds} s.");
            }
        }
    }
}
