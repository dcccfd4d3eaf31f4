using System.Diagnostics;
using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>A look at what all of the machine has done so far.</summary>
/// <param name="Moment">When, in the monotonic clock's ticks.</param>
/// <param name="Busy">The time that its processors were busy, together, the time that a hypervisor took away included.</param>
internal readonly record struct Activity(long Moment, TimeSpan Busy)
{
    internal static Activity Look()
    {
        // cpu user nice system idle iowait irq softirq steal, in ticks of 10 ms: USER_HZ has been 100 for as long as there is an ABI.
        string[] fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        long ticks = new[] { 1, 2, 3, 6, 7, 8 }.Sum(i => long.Parse(fields[i], CultureInfo.InvariantCulture));
        return new Activity(Stopwatch.GetTimestamp(), TimeSpan.FromMilliseconds(10 * ticks));
    }

    /// <summary>What was done since an earlier look, less what was meant to be done, as a share of all processors.</summary>
    internal double NoiseSince(Activity earlier, TimeSpan meant)
    {
        TimeSpan time = Stopwatch.GetElapsedTime(earlier.Moment, Moment);
        return Math.Max(0, (Busy - earlier.Busy - meant) / (time * Environment.ProcessorCount));
    }

    /// <summary>Waits until others leave the machine alone, for so long at most.</summary>
    internal static void WaitForQuiet(double noise, TimeSpan patience)
    {
        var waited = Stopwatch.StartNew();
        Activity before = Look();
        while (waited.Elapsed < patience)
        {
            Thread.Sleep(300);
            Activity now = Look();
            if (now.NoiseSince(before, TimeSpan.Zero) <= noise)
            {
                return;
            }

            before = now;
        }
    }
}
