using System.Collections.Immutable;

namespace C10kServer.Engine;

/// <summary>
/// Bytes for many connections, and who has had them: a connection on its way from one worker to another may be met by both, and gets them
/// once. Connections that were opened later get none. Workers share it, under a lock that is taken once a connection.
/// </summary>
internal sealed class Broadcast(ImmutableArray<byte> data, long newestId)
{
    // What a turn sends at most, unless one connection's share is more: sockets copy it, and the others wait meanwhile.
    private const int BytesPerTurn = 1024 * 1024;

    private readonly HashSet<long> _reached = [];
    private readonly HashSet<long> _full = [];

    /// <summary>Connections that a worker may write to in one turn.</summary>
    internal int Portion => Math.Max(1, BytesPerTurn / data.Length);

    /// <summary>Whether a connection that was met has too much to take already, and was sent nothing. From any thread.</summary>
    internal bool WasFull(long id)
    {
        lock (_reached)
        {
            return _full.Contains(id);
        }
    }

    /// <summary>From the worker's thread. False when there was nothing to do: it had them, came later, or is closing.</summary>
    internal bool Reach(Connection connection)
    {
        if (connection.Id > newestId)
        {
            return false;
        }

        lock (_reached)
        {
            if (!_reached.Add(connection.Id))
            {
                return false;
            }
        }

        SendOutcome outcome = connection.TryWrite(data.AsSpan());
        if (outcome == SendOutcome.QueueFull)
        {
            lock (_reached)
            {
                _full.Add(connection.Id);
            }
        }

        return outcome != SendOutcome.Closing;
    }
}
