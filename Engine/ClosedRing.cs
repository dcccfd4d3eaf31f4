using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The last connections that were closed, a bounded number. Workers write, anyone reads, under a lock that is taken once in a
/// connection's life. Records are values: a server that opens and closes a hundred thousand a second makes no garbage by it.
/// </summary>
internal sealed class ClosedRing
{
    /// <summary>Connections kept.</summary>
    internal const int Capacity = 1024;

    private readonly Lock _lock = new();
    private Record[] _records = [];
    private long _written;

    internal void Add(in Record record)
    {
        lock (_lock)
        {
            if (_records.Length == 0)
            {
                _records = new Record[Capacity];
            }

            _records[_written++ % Capacity] = record;
        }
    }

    /// <summary>Rows of them, the last one first.</summary>
    internal IReadOnlyList<ConnectionInfo> GetRows()
    {
        lock (_lock)
        {
            var rows = new List<ConnectionInfo>();
            for (long i = _written - 1; i >= Math.Max(0, _written - Capacity); i--)
            {
                rows.Add(_records[i % Capacity].ToInfo());
            }

            return rows;
        }
    }

    /// <param name="Id">The connection's id.</param>
    /// <param name="Worker">The worker that closed it.</param>
    /// <param name="Reason">Why it ended.</param>
    /// <param name="Remote">The peer's address.</param>
    /// <param name="Local">Where it was accepted.</param>
    /// <param name="Started">When it was opened, on the engine's clock.</param>
    /// <param name="Ended">When it was closed, on the engine's clock.</param>
    /// <param name="LastActivity">When bytes last moved, on the engine's clock.</param>
    /// <param name="Received">Bytes received.</param>
    /// <param name="Sent">Bytes sent.</param>
    /// <param name="Messages">Messages received.</param>
    internal readonly record struct Record(
        long Id,
        int Worker,
        CloseReason Reason,
        SockAddr Remote,
        EndPoint Local,
        long Started,
        long Ended,
        long LastActivity,
        long Received,
        long Sent,
        long Messages)
    {
        internal ConnectionInfo ToInfo() => new()
        {
            Id = Id,
            Worker = Worker,
            Slot = -1,
            State = ConnectionState.Closed,
            CloseReason = Reason,
            RemoteEndPoint = Remote.ToEndPoint(),
            LocalEndPoint = Local,
            StartTime = Clock.ToWallClock(Started),
            Age = TimeSpan.FromMilliseconds(Ended - Started),
            IdleTime = TimeSpan.FromMilliseconds(Math.Max(0, Ended - LastActivity)),
            BytesReceived = Received,
            BytesSent = Sent,
            MessagesReceived = Messages,
            SendQueue = 0,
            ReadPaused = false,
        };
    }
}
