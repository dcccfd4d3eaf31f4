using System.ComponentModel;
using System.Runtime.InteropServices;

namespace C10kServer.Soak.Tests.Support;

/// <summary>What is done to a process from outside.</summary>
internal static partial class Libc
{
    internal const int Continue = 18;
    internal const int Stop = 19;

    private const int NumberOfFiles = 7;

    /// <summary>Sets how many descriptors a process may have, and tells how many it was before.</summary>
    internal static ulong SetDescriptorLimit(int process, ulong limit)
    {
        // Soft and hard. The hard one stays: who has lowered it cannot raise it again.
        var limits = new ulong[2];
        var before = new ulong[2];
        Check(GetLimit(process, NumberOfFiles, 0, ref before[0]));
        limits[0] = limit;
        limits[1] = before[1];
        Check(SetLimit(process, NumberOfFiles, ref limits[0], 0));
        return before[0];
    }

    internal static void Signal(int process, int signal) => Check(Kill(process, signal));

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int GetLimit(int process, int resource, nint limit, ref ulong before);

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int SetLimit(int process, int resource, ref ulong limit, nint before);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);

    private static void Check(int result)
    {
        if (result != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }
}
