using System.Runtime.InteropServices;

namespace C10kServer.Engine.Native;

/// <summary>What the kernel knows of a thread.</summary>
internal static unsafe class KernelThread
{
    /// <summary>The calling thread's id, as ps and top show it.</summary>
    internal static int KernelId()
    {
        const int GetTidX64 = 186;
        const int GetTidGeneric = 178;
        bool x64 = RuntimeInformation.ProcessArchitecture == Architecture.X64;
        return (int)Libc.Syscall(x64 ? GetTidX64 : GetTidGeneric);
    }

    /// <summary>
    /// The CPU time of a thread of this process, without that thread's help, because a loop that measured itself would pay for two clocks a
    /// turn. Zero when the thread has ended.
    /// </summary>
    internal static TimeSpan CpuTime(int threadId)
    {
        // pthread_getcpuclockid(3): the id of a thread's CPU clock is made from the thread's kernel id.
        const int PerThread = 4;
        const int Scheduler = 2;
        long* time = stackalloc long[2];
        int clock = (~threadId << 3) | PerThread | Scheduler;
        return Libc.ClockGetTime(clock, time) == 0
            ? TimeSpan.FromSeconds(time[0]) + TimeSpan.FromTicks(time[1] / 100)
            : TimeSpan.Zero;
    }
}
