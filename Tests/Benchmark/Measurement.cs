using System.Globalization;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>What a server did in one case of one round.</summary>
internal sealed record Measurement(
    double Rate, double CpuMicroseconds, double P50, double P99, double P999, double BytesPerConnection, long Errors)
{
    internal static Measurement Take(ServerProcess server, Case what, TimeSpan duration)
    {
        LoadOptions options = what.With(new LoadOptions { Target = server.EndPoint, Duration = duration });
        using LoadGenerator? idle = what.Idle > 0
            ? new LoadGenerator(new LoadOptions { Target = server.EndPoint, Mode = LoadMode.Idle, Connections = what.Idle, Duration = TimeSpan.FromHours(1) })
            : null;
        idle?.Start();
        WaitUntil(() => idle is null || idle.Progress.Phase == LoadPhase.Holding);
        long memory = server.ResidentBytes;
        TimeSpan cpu = server.CpuTime;
        using var load = new LoadGenerator(options);
        load.Start();
        if (options.Mode == LoadMode.Idle)
        {
            WaitUntil(() => load.Progress.Phase != LoadPhase.Connecting);
            memory = server.ResidentBytes - memory;
        }

        load.Wait(Timeout.InfiniteTimeSpan);
        LoadReport report = load.Report!;
        cpu = server.CpuTime - cpu;
        return new Measurement(
            report.RequestsPerSecond,
            cpu.TotalMicroseconds / Math.Max(1, report.Requests),
            report.Latency.Quantile(0.5).TotalMicroseconds,
            report.Latency.Quantile(0.99).TotalMicroseconds,
            report.Latency.Quantile(0.999).TotalMicroseconds,
            options.Mode == LoadMode.Idle ? (double)memory / options.Connections : double.NaN,
            report.Errors);
    }

    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    internal static string Number(double value, string format = "N0") =>
        double.IsNaN(value) ? "-" : value.ToString(format, CultureInfo.InvariantCulture);

    private static void WaitUntil(Func<bool> condition)
    {
        while (!condition())
        {
            Thread.Sleep(10);
        }
    }
}
