using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>How many descriptors the process may have, so that a limit is met early and said clearly (pitfall 50).</summary>
internal static unsafe class Descriptors
{
    // For the shell's own files, pipes and assemblies while a server is full.
    private const int Reserve = 64;

    /// <summary>The connections that the process can hold besides what is open now, and with those that the server has already.</summary>
    /// <exception cref="ServerStartException">The options ask for more.</exception>
    internal static int ConnectionLimit(ServerOptions options, int connections = 0)
    {
        (int limit, int open) = Read();
        int free = limit - open - Reserve + connections;
        if (free < 1 || options.MaxConnections > free)
        {
            string wanted = options.MaxConnections == 0 ? "any connection" : $"{options.MaxConnections} connections";
            throw new ServerStartException(
                StartFailure.DescriptorLimit,
                $"The process may have {limit} descriptors and {open} are open: too few for {wanted}. Ask for {Math.Max(0, free)} at most, or raise the limit (ulimit -n) before the shell starts.");
        }

        return options.MaxConnections == 0 ? free : options.MaxConnections;
    }

    /// <summary>Descriptors that are free for connections, of how many, and how many are open.</summary>
    internal static (int Free, int Limit, int Open) Count()
    {
        (int limit, int open) = Read();
        return (Math.Max(0, limit - open - Reserve), limit, open);
    }

    /// <summary>Descriptors that the process may still open; below 0 where the limit was lowered under what is open.</summary>
    internal static int CountFree()
    {
        int limit = ReadLimit();
        fixed (byte* path = "/proc/self/fd\0"u8)
        {
            // The size of that directory is their number since Linux 6.2, and 0 before.
            long open = FileIdentity.SizeOf(path);
            return limit - (open > 0 ? (int)open : CountOpenOrLimit(limit));
        }
    }

    private static (int Limit, int Open) Read() => (ReadLimit(), CountOpen());

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
        catch (ServerStartException)
        {
            // To count them takes one, and there is none.
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
            // To count them takes one.
            throw ServerStartException.OutOfDescriptors(e.HResult);
        }
    }
}
