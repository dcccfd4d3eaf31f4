using System.ComponentModel;
using System.Runtime.InteropServices;

namespace C10kServer.Benchmark;

/// <summary>What the benchmark asks of the kernel and .NET does not offer.</summary>
internal static partial class Libc
{
    /// <summary>SIGINT.</summary>
    internal const int Interrupt = 2;

    /// <summary>ESRCH.</summary>
    internal const int NoSuchThread = 3;

    // Room for 1024 processors, as cpu_set_t has.
    private const int CpuSetWords = 16;

    /// <summary>The processors that a thread may run on; 0 is the calling one. Threads and processes that it makes inherit them.</summary>
    internal static void SetAffinity(int thread, ReadOnlySpan<ulong> processors)
    {
        Span<ulong> set = stackalloc ulong[CpuSetWords];
        set.Clear();
        processors.CopyTo(set);
        Check(SchedSetAffinity(thread, CpuSetWords * sizeof(ulong), set));
    }

    internal static ulong[] GetAffinity()
    {
        ulong[] set = new ulong[CpuSetWords];
        Check(SchedGetAffinity(0, CpuSetWords * sizeof(ulong), set));
        return set;
    }

    /// <summary>
    /// The time that a process has spent on processors, all its threads together, those that have ended included, in nanoseconds: what
    /// the scheduler itself counts. utime and stime in /proc/PID/stat are the same sum, cut to ticks of 10 ms, too coarse for half a
    /// second; /proc/PID/task/*/schedstat has nanoseconds, and forgets threads that end.
    /// </summary>
    internal static TimeSpan CpuTime(int process)
    {
        int error = ClockGetCpuClockId(process, out int clock);
        if (error != 0)
        {
            throw new Win32Exception(error);
        }

        Check(ClockGetTime(clock, out TimeSpec time));
        return TimeSpan.FromTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
    }

    internal static void Send(int process, int signal) => Check(Kill(process, signal));

    private static void Check(int result)
    {
        if (result < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SchedSetAffinity(int thread, nuint size, ReadOnlySpan<ulong> set);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    private static partial int SchedGetAffinity(int thread, nuint size, Span<ulong> set);

    [LibraryImport("libc", EntryPoint = "clock_getcpuclockid")]
    private static partial int ClockGetCpuClockId(int process, out int clock);

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int ClockGetTime(int clock, out TimeSpec time);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct TimeSpec
    {
        internal readonly long Seconds;
        internal readonly long Nanoseconds;
    }
}
