using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace C10kServer.Faults.Tests;

/// <summary>
/// Takes the last descriptor away from the live process, until it is disposed of: the soft limit comes down to the lowest number
/// that is free, so that nothing more can be opened and what is open goes on. Nothing may be loaded meanwhile, so do once
/// before what is to be done under it.
/// </summary>
internal sealed unsafe partial class DescriptorLimit : IDisposable
{
    private const int NoFile = 7;

    private readonly ulong _soft;
    private readonly ulong _hard;

    /// <param name="lower">False: all but the lowering itself, to do once before.</param>
    /// <param name="spare">The descriptors that can still be opened.</param>
    internal DescriptorLimit(bool lower, int spare = 0)
    {
        ulong* old = stackalloc ulong[2];
        Check(PrLimit(0, NoFile, null, old));
        (_soft, _hard) = (old[0], old[1]);
        ulong free;
        List<SafeFileHandle> probes = [.. Enumerable.Range(0, spare + 1).Select(static _ => File.OpenHandle("/dev/null"))];
        free = (ulong)probes.Max(static probe => probe.DangerousGetHandle());
        probes.ForEach(static probe => probe.Dispose());

        Set(lower ? free : _soft);
    }

    public void Dispose() => Set(_soft);

    private static void Check(int result)
    {
        if (result != 0)
        {
            throw new InvalidOperationException($"prlimit: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    // This assembly's libc is the real one.
    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int PrLimit(int process, int resource, ulong* wanted, ulong* old);

    private void Set(ulong soft)
    {
        ulong* limits = stackalloc ulong[2];
        limits[0] = soft;
        limits[1] = _hard;
        Check(PrLimit(0, NoFile, limits, null));
    }
}
