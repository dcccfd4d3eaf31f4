using System.Globalization;
using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Listening sockets that the process was started with, by systemd's protocol: LISTEN_FDS descriptors from 3 on, for the process
/// LISTEN_PID. See sd_listen_fds(3). A start that fails leaves the sockets as they were, except for what belongs to the socket itself: it
/// does not block any more, and it has the TCP options of that try.
/// </summary>
public static class InheritedSockets
{
    private const int First = 3;

    private static readonly string[] s_names = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
    private static readonly Lock s_lock = new();

    // The values of the variables while the sockets are taken; null while they are not.
    private static string?[]? s_taken;

    /// <summary>Whether nobody outside this machine can connect to any of these sockets.</summary>
    public static bool AreLocal(IReadOnlyList<int> sockets)
    {
        ArgumentNullException.ThrowIfNull(sockets);
        return sockets.All(static fd => Sockets.LocalAddress(fd).ToEndPoint() is not IPEndPoint { Address: var address } || IPAddress.IsLoopback(address));
    }

    /// <summary>
    /// Returns the numbers of the sockets, for one start at a time: nobody else gets them until <see cref="GiveBack"/>. Returns an empty
    /// list if there are none. The variables that describe the sockets are removed, because they are not meant for the processes that this
    /// one starts. May be called from any thread.
    /// </summary>
    public static IReadOnlyList<int> Take()
    {
        lock (s_lock)
        {
            string?[] values = [.. s_names.Select(Environment.GetEnvironmentVariable)];
            if (s_taken is not null
                || !int.TryParse(values[0], CultureInfo.InvariantCulture, out int pid) || pid != Environment.ProcessId
                || !int.TryParse(values[1], CultureInfo.InvariantCulture, out int count) || count <= 0)
            {
                return [];
            }

            s_taken = values;
            Array.ForEach(s_names, static name => Environment.SetEnvironmentVariable(name, null));
            return [.. Enumerable.Range(First, count)];
        }
    }

    /// <summary>
    /// Called after a start that failed. The sockets are still open and listen, clients wait in their queues, and the next
    /// <see cref="Take"/> finds the sockets. Does nothing if the sockets were not taken. May be called from any thread.
    /// </summary>
    public static void GiveBack()
    {
        lock (s_lock)
        {
            if (s_taken is { } values)
            {
                s_taken = null;
                for (int i = 0; i < s_names.Length; i++)
                {
                    Environment.SetEnvironmentVariable(s_names[i], values[i]);
                }
            }
        }
    }
}
