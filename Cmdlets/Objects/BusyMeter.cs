using System.Diagnostics;

namespace C10kServer;

/// <summary>Turns the processor times of workers into percentages. Each percentage is for the time between two looks at a worker.</summary>
internal sealed class BusyMeter
{
    // The kernel counts a thread's time finely, but over an interval shorter than this a single turn of the loop would read as 100%.
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private readonly Dictionary<int, Look> _last = [];

    /// <summary>
    /// The percentage since the last look, or since the start for the first look. A look that comes too soon returns the last percentage again.
    /// </summary>
    internal double Read(int worker, TimeSpan cpuTime, TimeSpan uptime)
    {
        lock (_gate)
        {
            long now = Stopwatch.GetTimestamp();
            TimeSpan used = cpuTime;
            TimeSpan elapsed = uptime;
            if (_last.TryGetValue(worker, out Look last))
            {
                elapsed = Stopwatch.GetElapsedTime(last.Time, now);
                if (elapsed < Shortest)
                {
                    return last.Percent;
                }

                // If the processor time is less than before, it belongs to another thread, which began since then.
                used = cpuTime >= last.CpuTime ? cpuTime - last.CpuTime : cpuTime;
            }

            double percent = elapsed <= TimeSpan.Zero ? 0 : Math.Round(Math.Clamp(used / elapsed * 100, 0, 100), 1);
            _last[worker] = new Look(now, cpuTime, percent);
            return percent;
        }
    }

    private readonly record struct Look(long Time, TimeSpan CpuTime, double Percent);
}
