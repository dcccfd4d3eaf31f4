using System.Collections.Immutable;

namespace C10kServer.Engine;

/// <summary>
/// Bytes for many connections, and the ids of the connections that have had them. A connection that migrates from one worker to another may
/// be met by both workers, and gets the bytes once. Connections that were opened after the broadcast began get none. Workers share the
/// object under a lock, which is taken once for each connection.
/// </summary>
internal sealed class Broadcast(ImmutableArray<byte> data, long newestId)
{
    // The most bytes that a worker sends in one turn, unless the bytes for one connection are more. The bound exists because sockets copy the
    // bytes, and the worker's other connections wait meanwhile.
    private const int BytesPerTurn = 1024 * 1024;

    private readonly HashSet<long> _reached = [];
    private readonly HashSet<long> _full = [];

    /// <summary>How many connections a worker may write to in one turn.</summary>
    internal int Portion => Math.Max(1, BytesPerTurn / data.Length);

    /// <summary>Whether a connection that a worker met was sent nothing, because its queue was full already. From any thread.</summary>
    internal bool WasFull(long id)
    {
        lock (_reached)
        {
            return _full.Contains(id);
        }
    }

    /// <summary>
    /// From the worker's thread: sends the bytes to a connection. False when there was nothing to do, because the connection has had the bytes,
    /// was opened later, or is closing.
    /// </summary>
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
