using System.Globalization;

namespace C10kServer.Engine;

/// <summary>
/// Listening sockets that the process was started with, by systemd's protocol: descriptors from 3 on, LISTEN_FDS of them, for the
/// process LISTEN_PID. See sd_listen_fds(3).
/// </summary>
public static class InheritedSockets
{
    private const int First = 3;

    private static int s_taken;

    /// <summary>Their numbers, once a process: afterwards they belong to the server that they were given to. Empty where there are none.</summary>
    public static IReadOnlyList<int> Take()
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("LISTEN_PID"), CultureInfo.InvariantCulture, out int pid) || pid != Environment.ProcessId
            || !int.TryParse(Environment.GetEnvironmentVariable("LISTEN_FDS"), CultureInfo.InvariantCulture, out int count) || count <= 0
            || Interlocked.Exchange(ref s_taken, 1) != 0)
        {
            return [];
        }

        // Not for the processes that this one starts.
        Environment.SetEnvironmentVariable("LISTEN_PID", null);
        Environment.SetEnvironmentVariable("LISTEN_FDS", null);
        Environment.SetEnvironmentVariable("LISTEN_FDNAMES", null);
        return [.. Enumerable.Range(First, count)];
    }
}
