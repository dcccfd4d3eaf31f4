using System.Runtime.CompilerServices;
using Clock = System.Diagnostics.Stopwatch;

namespace C10kServer.Tests.Shared;

/// <summary>
/// A stopwatch for what a test allows: time in which this process ran, and not time on a wall. A machine that stands still for a minute,
/// or a process group that is stopped, counts for little.
/// <para>Threads: a watcher thread of its own, from the first use to the end of the process; the members are for any thread.</para>
/// </summary>
public sealed class RunningWatch
{
    // A silence of the watcher thread that is longer counts as this. The first is longer than any time that a test waits for at least, the
    // second shorter than any time in which something must be done.
    private static readonly TimeSpan LongGap = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan ShortGap = TimeSpan.FromMilliseconds(250);

    // Well below the short gap, and seldom enough not to count in a process whose idle CPU time is measured.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private static readonly Lock Gate = new();
    private static long s_seen = Clock.GetTimestamp();
    private static (TimeSpan Elapsed, TimeSpan Ran) s_total;

    private (TimeSpan Elapsed, TimeSpan Ran) _started = Look();

    static RunningWatch() => new Thread(Watch) { IsBackground = true, Name = "running watch" }.Start();

    private RunningWatch()
    {
    }

    /// <summary>The time since the start, in which the process stood still for two seconds at most: for lower bounds and for patience.</summary>
    public TimeSpan Elapsed => Look().Elapsed - _started.Elapsed;

    /// <summary>As <see cref="Elapsed"/>, in milliseconds.</summary>
    public long ElapsedMilliseconds => (long)Elapsed.TotalMilliseconds;

    /// <summary>The time in which the process ran, give or take a quarter of a second: for what must be done in a second or less.</summary>
    public TimeSpan Ran => Look().Ran - _started.Ran;

    /// <summary>A watch that runs.</summary>
    public static RunningWatch StartNew() => new();

    /// <summary>Begins again at zero.</summary>
    public void Restart() => _started = Look();

    /// <summary>A moment, for <see cref="GetElapsedTime"/>.</summary>
    public static long GetTimestamp() => Look().Elapsed.Ticks;

    /// <summary>The time since a moment.</summary>
    public static TimeSpan GetElapsedTime(long begun) => Look().Elapsed - TimeSpan.FromTicks(begun);

    /// <summary>Starts the watcher with the assembly, so that a test that counts threads meets the watcher in both counts.</summary>
#pragma warning disable CA2255 // A test project is an application, and has no other first line.
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Begin() => Look();

    private static (TimeSpan Elapsed, TimeSpan Ran) Look()
    {
        lock (Gate)
        {
            long now = Clock.GetTimestamp();
            TimeSpan gap = Clock.GetElapsedTime(s_seen, now);
            s_seen = now;
            return s_total = (s_total.Elapsed + (gap < LongGap ? gap : LongGap), s_total.Ran + (gap < ShortGap ? gap : ShortGap));
        }
    }

    private static void Watch()
    {
        while (true)
        {
            Thread.Sleep(Interval);
            Look();
        }
    }
}
