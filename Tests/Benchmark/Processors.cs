using System.ComponentModel;
using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>Who runs where: servers on the first processor, the load on the second, so that neither takes the other's time.</summary>
internal static class Processors
{
    private static readonly ulong[] Allowed = Libc.GetAffinity();

    /// <summary>Whether there are two to share out.</summary>
    internal static bool CanPin => Allowed.Sum(static word => (long)ulong.PopCount(word)) >= 2;

    /// <summary>Moves all of this process to the load's processor.</summary>
    internal static void PinLoad()
    {
        foreach (string thread in Directory.EnumerateDirectories("/proc/self/task"))
        {
            try
            {
                Libc.SetAffinity(int.Parse(Path.GetFileName(thread), CultureInfo.InvariantCulture), One(1));
            }
            catch (Win32Exception e) when (e.NativeErrorCode == Libc.NoSuchThread)
            {
                // It has ended since it was listed.
            }
        }
    }

    /// <summary>Does something, as to start a process, that is to happen on the servers' processor.</summary>
    internal static T OnServers<T>(Func<T> action) => On(One(0), action);

    /// <summary>Likewise on all processors.</summary>
    internal static T OnAll<T>(Func<T> action) => On(Allowed, action);

    /// <summary>Likewise, where nothing comes of it.</summary>
    internal static void OnAll(Action action) => On(Allowed, () =>
    {
        action();
        return 0;
    });

    private static T On<T>(ReadOnlySpan<ulong> set, Func<T> action)
    {
        ulong[] before = Libc.GetAffinity();
        Libc.SetAffinity(0, set);
        try
        {
            return action();
        }
        finally
        {
            Libc.SetAffinity(0, before);
        }
    }

    /// <summary>The set of the n-th of the allowed ones alone.</summary>
    private static ulong[] One(int n)
    {
        ulong[] set = new ulong[Allowed.Length];
        int bit = Enumerable.Range(0, Allowed.Length * 64).Where(static i => (Allowed[i / 64] >> (i % 64) & 1) != 0).ElementAt(n);
        set[bit / 64] = 1UL << (bit % 64);
        return set;
    }
}
