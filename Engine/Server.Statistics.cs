namespace C10kServer.Engine;

// What a server counts. From any thread. A worker's counters are written by that worker alone; the sums are made when they are asked for.
public sealed partial class Server
{
    /// <summary>Connections accepted and not closed yet.</summary>
    public int ConnectionCount => Admission.Open;

    /// <summary>The most connections that were open at a time.</summary>
    public int PeakConnectionCount => Admission.Peak;

    /// <summary>Connections accepted.</summary>
    public long Accepted => Sum(static counters => Volatile.Read(ref counters.Accepted));

    /// <summary>Connections reset because the limit was reached.</summary>
    public long Rejected => Sum(static counters => Volatile.Read(ref counters.Rejected));

    /// <summary>Connections closed.</summary>
    public long Closed => Sum(static counters => Volatile.Read(ref counters.Closed));

    /// <summary>Failures of accept, and of registering an accepted connection.</summary>
    public long AcceptErrors => Sum(static counters => Volatile.Read(ref counters.AcceptErrors));

    /// <summary>Bytes received on all connections.</summary>
    public long BytesReceived => Sum(static counters => Volatile.Read(ref counters.BytesReceived));

    /// <summary>Bytes sent on all connections.</summary>
    public long BytesSent => Sum(static counters => Volatile.Read(ref counters.BytesSent));

    /// <summary>Calls of OnReceived, and read requests served.</summary>
    public long MessagesReceived => Sum(static counters => Volatile.Read(ref counters.MessagesReceived));

    /// <summary>Exceptions that handlers threw, and errors that they reported.</summary>
    public long HandlerErrors => Sum(static counters => Volatile.Read(ref counters.HandlerErrors)) + (Options.Sessions?.HandlerErrors ?? 0);

    /// <summary>Handlers on handler threads that took longer with a message than allowed. Each of them closed its connection.</summary>
    public long HandlerTimeouts => Options.Sessions?.HandlerTimeouts ?? 0;

    /// <summary>Exceptions that subscribers threw, see <see cref="Subscribe"/>.</summary>
    public long EventErrors => Events.Errors;

    /// <summary>Events that subscribers were not told of, because the subscribers are too slow.</summary>
    public long EventsLost => Events.Lost;

    /// <summary>What the wall clock said when the server was started; 1970 before that.</summary>
    public DateTimeOffset StartTime => DateTimeOffset.FromUnixTimeMilliseconds(Volatile.Read(ref _startedOn));

    /// <summary>How long the server has been running, or did run.</summary>
    public TimeSpan Uptime => _startedAt == 0
        ? TimeSpan.Zero
        : TimeSpan.FromMilliseconds((Volatile.Read(ref _endedAt) is not 0 and var ended ? ended : Clock.Now) - _startedAt);

    /// <summary>Connections accepted per second, over the last second.</summary>
    public double AcceptRate => _acceptLoop?.Rates.Accepts ?? 0;

    /// <summary>Bytes received per second, over the last second.</summary>
    public double ReceiveRate => _acceptLoop?.Rates.Receives ?? 0;

    /// <summary>Bytes sent per second, over the last second.</summary>
    public double SendRate => _acceptLoop?.Rates.Sends ?? 0;

    /// <summary>Snapshots of the workers, including the workers that are leaving and are held up by a handler.</summary>
    public IReadOnlyList<WorkerInfo> GetWorkers() => [.. Workers.All.Select(static worker => worker.ToInfo())];

    private long Sum(Func<Counters, long> counter) => counter(AcceptLoopCounters) + Workers.Sum(counter);
}
