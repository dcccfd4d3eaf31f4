namespace C10kServer.Engine.Native;

/// <summary>How many descriptors the process has open, and how many it may have. May be used from any thread.</summary>
internal static unsafe class OpenDescriptors
{
    /// <summary>The descriptors that are left for the shell's own files, pipes and assemblies while a server is full.</summary>
    internal const int Reserve = 64;

    /// <summary>How many descriptors are free for connections, how many the process may have, and how many are open.</summary>
    /// <exception cref="EngineException">The process has no descriptor left.</exception>
    internal static (int Free, int Limit, int Open) Count()
    {
        (int limit, int open) = Read();
        return (Math.Max(0, limit - open - Reserve), limit, open);
    }

    /// <summary>How many descriptors the process may have, and how many are open.</summary>
    /// <exception cref="EngineException">The process has no descriptor left.</exception>
    internal static (int Limit, int Open) Read() => (ReadLimit(), CountOpen());

    /// <summary>How many descriptors the process may still open; below 0 if the limit was lowered below what is open.</summary>
    internal static int CountFree()
    {
        int limit = ReadLimit();
        fixed (byte* path = "/proc/self/fd\0"u8)
        {
            // The size of this directory is the number of descriptors since Linux 6.2, and was 0 before.
            long open = FileIdentity.SizeOf(path);
            return limit - (open > 0 ? (int)open : CountOpenOrLimit(limit));
        }
    }

    private static int ReadLimit()
    {
        const int NoFile = 7;
        ulong* limits = stackalloc ulong[2];
        return Libc.GetRLimit(NoFile, limits) == 0
            ? (int)Math.Min(limits[0], int.MaxValue)
            : throw new EngineException("getrlimit", Errno.Last);
    }

    private static int CountOpenOrLimit(int limit)
    {
        try
        {
            return CountOpen();
        }
        catch (EngineException)
        {
            // Counting takes a descriptor, and none is left.
            return limit;
        }
    }

    private static int CountOpen()
    {
        try
        {
            return Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();
        }
        catch (IOException e) when (e.HResult is Errno.EMFILE or Errno.ENFILE)
        {
            // Counting takes a descriptor.
            throw new EngineException("open", e.HResult);
        }
    }
}
