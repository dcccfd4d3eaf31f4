using System.Net;

namespace C10kServer;

/// <summary>A TCP server in this process. The object is live: each look at a property reads the present value.</summary>
/// <remarks>When the server is stopped the object stays readable, with its final counters.</remarks>
public sealed class Server : IDisposable
{
    /// <summary>A worker answers between two turns of its loop; one that takes longer than this is stuck.</summary>
    internal static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly Engine.Server _engine;
    private readonly BusyMeter _busy = new();

    internal Server(int id, string name, string protocol, Guid runspace, Engine.Server engine)
    {
        _engine = engine;
        Id = id;
        Name = name;
        Runspace = runspace;
        Protocol = protocol;
    }

    /// <summary>The server's number, unique in the process and never used again.</summary>
    public int Id { get; }

    /// <summary>The server's name, unique among those that run.</summary>
    public string Name { get; }

    /// <summary>Where the server is in its life.</summary>
    public ServerState State => (ServerState)_engine.State;

    /// <summary>What the server speaks.</summary>
    public string Protocol { get; }

    /// <summary>The first address that it listens on.</summary>
    public IPAddress? Address => (EndPoint as IPEndPoint)?.Address;

    /// <summary>The port that it listens on: the real one, also where the kernel chose.</summary>
    public int Port => _engine.Port;

    /// <summary>The first address and port that it listens on, or the path of its socket.</summary>
    public EndPoint? EndPoint => _engine.EndPoints is [EndPoint first, ..] ? first : null;

    /// <summary>All addresses and ports, and the path, that it listens on.</summary>
    public IReadOnlyList<EndPoint> EndPoints => _engine.EndPoints;

    /// <summary>The number of worker threads.</summary>
    public int WorkerCount => _engine.Options.WorkerCount;

    /// <summary>The connections at this moment.</summary>
    public int ConnectionCount => _engine.ConnectionCount;

    /// <summary>The most connections that there were at a time.</summary>
    public int PeakConnectionCount => _engine.PeakConnectionCount;

    /// <summary>The connections accepted since the start.</summary>
    public long Accepted => _engine.Accepted;

    /// <summary>The connections turned away because a limit was reached.</summary>
    public long Rejected => _engine.Rejected;

    /// <summary>The connections that have ended.</summary>
    public long Closed => _engine.Closed;

    /// <summary>The accepts that failed, for lack of descriptors for instance.</summary>
    public long AcceptErrors => _engine.AcceptErrors;

    /// <summary>The bytes received from all connections.</summary>
    public long BytesReceived => _engine.BytesReceived;

    /// <summary>The bytes sent to all connections.</summary>
    public long BytesSent => _engine.BytesSent;

    /// <summary>The messages received from all connections.</summary>
    public long MessagesReceived => _engine.MessagesReceived;

    /// <summary>The connections accepted a second, over the last second.</summary>
    public double AcceptRate => _engine.AcceptRate;

    /// <summary>The bytes received a second, over the last second.</summary>
    public double ReceiveRate => _engine.ReceiveRate;

    /// <summary>The bytes sent a second, over the last second.</summary>
    public double SendRate => _engine.SendRate;

    /// <summary>The exceptions that the handler threw; each closed its connection.</summary>
    public long HandlerErrors => _engine.HandlerErrors;

    /// <summary>What went wrong last.</summary>
    public string? LastError => _engine.LastError;

    /// <summary>When the server was started, in local time.</summary>
    public DateTime StartTime => _engine.StartTime.LocalDateTime;

    /// <summary>How long the server has run.</summary>
    public TimeSpan Uptime => _engine.Uptime;

    /// <summary>What the server was started with, or was last told.</summary>
    public ServerOptions Options => new(_engine.Options, Protocol);

    /// <summary>The worker threads, as they are now.</summary>
    public IReadOnlyList<Worker> Workers
    {
        get
        {
            TimeSpan uptime = _engine.Uptime;
            return [.. _engine.GetWorkers().Select(w => new Worker(this, w, _busy.Read(w.Id, w.CpuTime, uptime)))];
        }
    }

    /// <summary>The connections, as they are now. Get-C10kConnection gets them one by one, with filters.</summary>
    /// <exception cref="TimeoutException">A worker did not answer.</exception>
    public IReadOnlyList<Connection> Connections =>
        [.. Fetch(new Engine.ConnectionFilter()).Select(info => new Connection(this, info))];

    /// <summary>The runspace that started the server: when it removes the module, the server is stopped.</summary>
    internal Guid Runspace { get; }

    /// <summary>What the server logs.</summary>
    internal Engine.EventLog Log => _engine.Options.Log;

    /// <summary>It was stopped, and its last record is in the log.</summary>
    internal bool HasEnded => _engine.HasEnded;

    /// <summary>Stops the server.</summary>
    public void Dispose() => Stop(reset: false);

    /// <summary>The server in short.</summary>
    /// <returns>For instance "C10k1 (127.0.0.1:8080)".</returns>
    public override string ToString() => EndPoint is null ? Name : $"{Name} ({EndPoint})";

    /// <summary>Stops the server and frees its name. From any thread, any number of times.</summary>
    internal void Stop(bool reset)
    {
        // In this order, so that a name that is free has its port free too.
        _engine.Stop(reset);
        ServerRegistry.Remove(this);
    }

    /// <summary>Records that matter less are not logged from now on.</summary>
    internal void SetLogLevel(LogLevel level) => _engine.LogLevel = (Engine.EventLevel)level;

    /// <summary>The engine's look at the workers, which leaves alone what BusyPercent is measured from.</summary>
    internal IReadOnlyList<Engine.WorkerInfo> GetWorkers() => _engine.GetWorkers();

    internal Engine.ConnectionWalk Walk(Engine.ConnectionFilter filter) => _engine.Walk(filter);

    /// <summary>The connections that ended last, the last one first; also when the server is stopped.</summary>
    internal IEnumerable<Connection> GetClosed() => _engine.GetClosed().Select(info => new Connection(this, info));

    internal bool TryAct(
        Engine.ConnectionRef target,
        Engine.ConnectionAction action,
        TimeSpan timeout,
        CancellationToken cancel,
        out Engine.ConnectionInfo? after) =>
        _engine.TryAct(target, action, timeout, cancel, out after);

    private List<Engine.ConnectionInfo> Fetch(Engine.ConnectionFilter filter)
    {
        List<Engine.ConnectionInfo> rows = [];
        using Engine.ConnectionWalk walk = _engine.Walk(filter);
        while (walk.TryTake(AnswerTimeout, CancellationToken.None, out IReadOnlyList<Engine.ConnectionInfo>? portion))
        {
            rows.AddRange(portion!);
        }

        if (walk.SilentWorkers.Count > 0)
        {
            throw new TimeoutException(Messages.WorkerSilent(this, walk.SilentWorkers[0]));
        }

        return rows;
    }
}
