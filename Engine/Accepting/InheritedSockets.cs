using System.Globalization;
using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Listening sockets that the process was started with, by systemd's protocol: descriptors from 3 on, LISTEN_FDS of them, for the
/// process LISTEN_PID. See sd_listen_fds(3). A start that fails leaves them as they were, but for what is the socket's own: it does not
/// block any more, and has the TCP options of that try.
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
    /// The numbers of the sockets, for one start at a time: nobody else gets them until <see cref="GiveBack"/>. Empty where there are none.
    /// The variables that tell of them are removed, because they are not meant for the processes that this one starts. From any thread.
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
    /// After a start that failed: the sockets are still open and listen, clients wait in their queues, and the next <see cref="Take"/> finds
    /// them. Does nothing where they were not taken. From any thread.
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
