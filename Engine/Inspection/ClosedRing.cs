using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The last connections that were closed, up to a fixed number. Workers write and any thread reads, under a lock that a worker takes once in
/// a connection's life. A reader holds the lock only while it copies a portion of records, and makes rows of them afterwards, because a worker
/// that waits for the lock holds up all of its connections. Records are values, so that a server which opens and closes a hundred thousand
/// connections a second makes no garbage here. The ring outlives a restart of its server.
/// </summary>
internal sealed class ClosedRing
{
    /// <summary>How many connections are kept.</summary>
    internal const int Capacity = 1024;

    // How many records are copied at a time. To copy this many takes some microseconds, and a worker may have to wait for that long.
    private const int Portion = 64;

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

    /// <summary>Rows of the records that exist at the call, the newest one first. A record that is overwritten meanwhile is left out.</summary>
    internal IReadOnlyList<ConnectionInfo> GetRows()
    {
        var rows = new List<ConnectionInfo>();
        var portion = new Record[Portion];
        long next = long.MaxValue;
        int copied;
        do
        {
            copied = 0;
            lock (_lock)
            {
                next = Math.Min(next, _written - 1);
                while (copied < Portion && next >= Math.Max(0, _written - Capacity))
                {
                    portion[copied++] = _records[next-- % Capacity];
                }
            }

            for (int i = 0; i < copied; i++)
            {
                rows.Add(portion[i].ToInfo());
            }
        }
        while (copied == Portion);

        return rows;
    }

    /// <summary>Replaces a connection's Tag, because a handler has set another one after the connection's end.</summary>
    internal void SetTag(long id, object? tag)
    {
        lock (_lock)
        {
            for (long i = _written - 1; i >= Math.Max(0, _written - Capacity); i--)
            {
                ref Record record = ref _records[i % Capacity];
                if (record.Id == id)
                {
                    record = record with { Tag = tag };
                    return;
                }
            }
        }
    }

    /// <param name="Id">The connection's id.</param>
    /// <param name="Worker">The worker that closed it.</param>
    /// <param name="Reason">Why it ended.</param>
    /// <param name="Remote">The peer's address.</param>
    /// <param name="Local">The local address at which it was accepted.</param>
    /// <param name="Moments">When it was opened, on both clocks, and when bytes last moved.</param>
    /// <param name="Ended">When it was closed, on the engine's clock.</param>
    /// <param name="EndedOn">When it was closed, on the wall clock: milliseconds since 1970.</param>
    /// <param name="Received">Bytes received.</param>
    /// <param name="Sent">Bytes sent.</param>
    /// <param name="Messages">Messages received.</param>
    /// <param name="Tag">The part of the handler's Tag that is kept, see <see cref="KeptTag"/>.</param>
    internal readonly record struct Record(
        long Id,
        int Worker,
        CloseReason Reason,
        SockAddr Remote,
        EndPoint Local,
        Moments Moments,
        long Ended,
        long EndedOn,
        long Received,
        long Sent,
        long Messages,
        object? Tag)
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
            StartTime = DateTimeOffset.FromUnixTimeMilliseconds(Moments.StartedOn),
            EndTime = DateTimeOffset.FromUnixTimeMilliseconds(EndedOn),
            Age = TimeSpan.FromMilliseconds(Ended - Moments.Started),
            IdleTime = TimeSpan.FromMilliseconds(Math.Max(0, Ended - Moments.LastActivity)),
            BytesReceived = Received,
            BytesSent = Sent,
            MessagesReceived = Messages,
            SendQueue = 0,
            ReadPaused = false,
            Tag = Tag,
        };
    }
}
