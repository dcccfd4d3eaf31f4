using System.Collections.Immutable;
using System.Management.Automation;
using System.Net;
using C10kServer.Scripting;
using Newtonsoft.Json;

namespace C10kServer;

/// <summary>A TCP server in this process. The object is live: each look at a property reads the present value.</summary>
/// <remarks>When the server is stopped the object stays readable, with its final counters.</remarks>
public sealed class Server : IDisposable
{
    /// <summary>A worker answers between two turns of its loop; one that takes longer than this is stuck.</summary>
    internal static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly HandlerSource _handler;
    private readonly BusyMeter _busy = new();

    // One operation on the server at a time. Looks at it need none: they take the engine as it is.
    private readonly Lock _operation = new();

    // Others after each restart.
    private volatile Engine.Server _engine;
    private HandlerPool? _pool;

    // Cmdlets that wait for a drain and do what follows: a restart wants the port and the name that a stop would free.
    private int _drainHolds;

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal Server(int id, string name, HandlerSource handler, Guid runspace, Engine.ServerOptions options)
    {
        _handler = handler;
        Id = id;
        Name = name;
        Runspace = runspace;
        Events = new ServerEvents(this);
        _engine = MakeEngine(options);
    }

    /// <summary>A worker has taken a connection over. Told on a thread of its own, one event after the other.</summary>
    public event EventHandler<ConnectionEventArgs> ConnectionOpened
    {
        add => Events.Add(Engine.ServerEventKind.ConnectionOpened, value);
        remove => Events.Remove(Engine.ServerEventKind.ConnectionOpened, value);
    }

    /// <summary>A connection has ended. Told on a thread of its own, one event after the other.</summary>
    public event EventHandler<ConnectionEventArgs> ConnectionClosed
    {
        add => Events.Add(Engine.ServerEventKind.ConnectionClosed, value);
        remove => Events.Remove(Engine.ServerEventKind.ConnectionClosed, value);
    }

    /// <summary>The server is in another state. Told on a thread of its own, one event after the other.</summary>
    public event EventHandler<ServerStateEventArgs> StateChanged
    {
        add => Events.Add(value);
        remove => Events.Remove(Engine.ServerEventKind.StateChanged, value);
    }

    /// <summary>The server's number, unique in the process and never used again.</summary>
    public int Id { get; }

    /// <summary>The server's name, unique among those that run.</summary>
    public string Name { get; }

    /// <summary>Where the server is in its life.</summary>
    public ServerState State => (ServerState)_engine.State;

    /// <summary>What the server speaks: a built-in protocol, Script, or the type of a compiled handler.</summary>
    public string Protocol => _handler.Name;

    /// <summary>The first address that it listens on.</summary>
    public IPAddress? Address => (EndPoint as IPEndPoint)?.Address;

    /// <summary>The port that it listens on: the real one, also where the kernel chose.</summary>
    public int Port => _engine.Port;

    /// <summary>The first address and port that it listens on, or the path of its socket.</summary>
    public EndPoint? EndPoint => _engine.EndPoints is [EndPoint first, ..] ? first : null;

    /// <summary>All addresses and ports, and the path, that it listens on.</summary>
    public EndPoint[] EndPoints => [.. _engine.EndPoints];

    /// <summary>The number of worker threads.</summary>
    public int WorkerCount => _engine.Options.WorkerCount;

    /// <summary>The connections at this moment.</summary>
    public int ConnectionCount => _engine.ConnectionCount;

    /// <summary>The most connections that there were at a time.</summary>
    public int PeakConnectionCount => _engine.PeakConnectionCount;

    /// <summary>The connections accepted since the start. A restart begins all counters anew.</summary>
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

    /// <summary>The exceptions that the handler threw, each of which closed its connection, and the errors that a script handler wrote.</summary>
    public long HandlerErrors => _engine.HandlerErrors;

    /// <summary>The messages with which a script handler took longer than -HandlerTimeout; each closed its connection.</summary>
    public long HandlerTimeouts => _engine.HandlerTimeouts;

    /// <summary>The exceptions that subscribers of the events threw.</summary>
    public long EventErrors => _engine.EventErrors;

    /// <summary>The events that subscribers were not told of, since they are too slow for them.</summary>
    public long EventsLost => _engine.EventsLost;

    /// <summary>What went wrong last.</summary>
    public string? LastError => _engine.LastError;

    /// <summary>When the server was started, in local time.</summary>
    public DateTimeOffset StartTime => _engine.StartTime.ToLocalTime();

    /// <summary>How long the server has run.</summary>
    public TimeSpan Uptime => _engine.Uptime;

    /// <summary>What the server was started with, or was last told.</summary>
    public ServerOptions Options => new(_engine.Options, _handler);

    /// <summary>The same as <see cref="GetWorkers"/>. Converters do not see it: an export of a server is not one of its workers.</summary>
    [Hidden]
    [JsonIgnore]
    public Worker[] Workers => GetWorkers();

    /// <summary>The same as <see cref="GetConnections"/>. Converters do not see it: an export of a server is not one of its connections.</summary>
    /// <exception cref="TimeoutException">A worker did not answer.</exception>
    [Hidden]
    [JsonIgnore]
    public Connection[] Connections => GetConnections();

    /// <summary>The runspace that started the server: when it removes the module, the server is stopped.</summary>
    internal Guid Runspace { get; private set; }

    /// <summary>Stopped for good, and not between the two halves of a restart; or faulted.</summary>
    internal bool IsOver => State == ServerState.Faulted || (State == ServerState.Stopped && !ServerRegistry.Contains(this));

    /// <summary>After <see cref="BeginDrain"/>: no connection is left, and none is to come.</summary>
    internal bool IsDrained => _engine.IsDrained;

    /// <summary>Whether it listens on what systemd passed: closed once, that cannot be opened again.</summary>
    internal bool HasInheritedSockets => _engine.Options.Inherited.Count > 0;

    internal ServerEvents Events { get; }

    /// <summary>What the server logs.</summary>
    internal Engine.EventLog Log => _engine.Options.Log;

    /// <summary>It was stopped, and its last record is in the log.</summary>
    internal bool HasEnded => _engine.HasEnded;

    /// <summary>The worker threads, as they are now.</summary>
    /// <returns>A row for each.</returns>
    public Worker[] GetWorkers()
    {
        Engine.Server engine = _engine;
        TimeSpan uptime = engine.Uptime;
        return [.. engine.GetWorkers().Select(w => new Worker(this, w, _busy.Read(w.Id, w.CpuTime, uptime)))];
    }

    /// <summary>The connections, as they are now. Get-C10kConnection gets them one by one, with filters.</summary>
    /// <returns>A row for each.</returns>
    /// <exception cref="TimeoutException">A worker did not answer.</exception>
    public Connection[] GetConnections() => [.. Fetch(new Engine.ConnectionQuery()).Select(info => new Connection(this, info))];

    /// <summary>Stops the server.</summary>
    public void Dispose() => Stop(reset: false);

    /// <summary>The server in short.</summary>
    /// <returns>For instance "C10k1 (127.0.0.1:8080)".</returns>
    public override string ToString() => EndPoint is null ? Name : $"{Name} ({EndPoint})";

    /// <summary>Starts the server, once.</summary>
    /// <exception cref="Engine.ServerStartException">Nothing is left behind.</exception>
    /// <exception cref="HandlerScriptException">Its handler's runspaces cannot be made. Nothing is left behind.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left behind.</exception>
    internal void Start(CancellationToken cancel)
    {
        lock (_operation)
        {
            StartEngine(cancel);
        }
    }

    /// <summary>Something that belongs into the server's log.</summary>
    internal void Report(Engine.EventLevel level, string message) => _engine.Report(level, message);

    /// <summary>Stops the server and frees its name. From any thread, any number of times.</summary>
    internal void Stop(bool reset)
    {
        _engine.RefuseOwnThread();
        lock (_operation)
        {
            // In this order, so that a name that is free has its port free too.
            try
            {
                StopEngine(reset);
            }
            finally
            {
                if (_engine.HasEnded)
                {
                    ServerRegistry.Remove(this);
                }
            }
        }
    }

    /// <summary>
    /// Starts the server again, where it was and with the same options and handler, and stops it first if it has not ended.
    /// False: it had ended, and its name is another server's now.
    /// </summary>
    /// <param name="runspace">Whose it is then, if it was nobody's any more.</param>
    /// <exception cref="Engine.ServerStartException">It is stopped, and its name is free.</exception>
    /// <exception cref="HandlerScriptException">As before.</exception>
    internal bool Restart(Guid runspace)
    {
        _engine.RefuseOwnThread();
        lock (_operation)
        {
            if (!ServerRegistry.Contains(this))
            {
                if (!ServerRegistry.Return(this))
                {
                    return false;
                }

                Runspace = runspace;
            }

            bool started = false;
            try
            {
                // The sockets stay open meanwhile, so that the port is kept and no client is refused.
                using Engine.SocketHandover sockets = new();
                StopEngine(reset: false, sockets);
                Engine.ServerOptions options = _engine.Options;

                // The port that the kernel chose, where it was left the choice: clients know that one.
                _engine = MakeEngine(options.Addresses.Count > 0 ? options with { Port = _engine.Port } : options);
                StartEngine(CancellationToken.None, sockets);
                started = true;
            }
            finally
            {
                if (!started)
                {
                    ServerRegistry.Remove(this);
                }
            }

            return true;
        }
    }

    /// <exception cref="InvalidOperationException">It is neither running nor suspended.</exception>
    internal void Suspend()
    {
        lock (_operation)
        {
            _engine.Suspend();
        }
    }

    /// <exception cref="InvalidOperationException">It is neither running nor suspended.</exception>
    internal void Resume()
    {
        lock (_operation)
        {
            _engine.Resume();
        }
    }

    /// <summary>From now on a drain's end is the caller's to deal with, until <see cref="ReleaseDrain"/>.</summary>
    internal void HoldDrain() => Interlocked.Increment(ref _drainHolds);

    /// <summary>Takes a <see cref="HoldDrain"/> back: a server that has drained, or will, stops by itself.</summary>
    internal void ReleaseDrain() => Interlocked.Decrement(ref _drainHolds);

    /// <summary>The server listens no more, and its connections may finish. False: it is over.</summary>
    internal bool BeginDrain()
    {
        lock (_operation)
        {
            if (State is ServerState.Stopped or ServerState.Faulted)
            {
                return false;
            }

            _engine.BeginDrain();
            return true;
        }
    }

    /// <summary>Changes options while the server runs. False: a worker that is to leave is held up.</summary>
    /// <exception cref="ArgumentException">One is out of its range, or cannot be changed now.</exception>
    /// <exception cref="Engine.ServerStartException">There are not enough descriptors; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The server is over.</exception>
    internal bool Reconfigure(Func<Engine.ServerOptions, Engine.ServerOptions> change)
    {
        _engine.RefuseOwnThread();
        lock (_operation)
        {
            return _engine.Reconfigure(change(_engine.Options));
        }
    }

    /// <summary>Checks options as <see cref="Reconfigure"/> does, and changes nothing.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal void Check(Func<Engine.ServerOptions, Engine.ServerOptions> change) => change(_engine.Options).Validate();

    /// <summary>Records that matter less are not logged from now on.</summary>
    internal void SetLogLevel(LogLevel level) => _engine.LogLevel = (Engine.EventLevel)level;

    /// <summary>The engine's look at the workers, which leaves alone what BusyPercent is measured from.</summary>
    internal IReadOnlyList<Engine.WorkerInfo> GetWorkerInfos() => _engine.GetWorkers();

    internal Engine.ConnectionWalk Walk(Engine.ConnectionQuery filter) => _engine.Walk(filter);

    /// <summary>The connections that ended last, the last one first; also when the server is stopped, and those from before a restart.</summary>
    internal IEnumerable<Connection> GetClosed() => _engine.GetClosed().Select(info => new Connection(this, info));

    internal bool TryAct(
        Engine.ConnectionRef target,
        Engine.ConnectionAction action,
        TimeSpan timeout,
        CancellationToken cancel,
        out Engine.ConnectionInfo? after,
        int moveTo = -1) =>
        _engine.TryAct(target, action, timeout, cancel, out after, moveTo);

    internal Engine.SendOutcome TrySend(
        Engine.ConnectionRef target, ImmutableArray<byte> data, TimeSpan timeout, CancellationToken cancel, out Engine.ConnectionInfo? after) =>
        _engine.TrySend(target, data, timeout, cancel, out after);

    internal Engine.ConnectionWalk Broadcast(Engine.ConnectionQuery filter, ImmutableArray<byte> data) => _engine.Broadcast(filter, data);

    // On a thread that the engine has started for it, once its last connection has ended.
    private void EndDrained(Engine.Server engine)
    {
        lock (_operation)
        {
            if (_engine == engine && engine.IsDrained && Volatile.Read(ref _drainHolds) == 0)
            {
                StopEngine(reset: false);
                ServerRegistry.Remove(this);
            }
        }
    }

    // In this order: connections that end are told to the handlers.
    private void StopEngine(bool reset, Engine.SocketHandover? sockets = null)
    {
        _engine.Stop(reset, sockets);
        _pool?.Stop();
    }

    private void StartEngine(CancellationToken cancel, Engine.SocketHandover? sockets = null)
    {
        // In this order: the first message finds its handler.
        _pool?.Start(cancel);
        try
        {
            _engine.Start(sockets);
        }
        catch
        {
            _engine.Dispose();
            _pool?.Stop();
            throw;
        }
    }

    private Engine.Server MakeEngine(Engine.ServerOptions options)
    {
        _pool = _handler.MakePool(this);
        Engine.Server engine = new(_pool is null ? options : options.UseSessions(_pool.Scheduler), predecessor: _engine);
        engine.Drained = () => EndDrained(engine);
        Events.Follow(engine);
        return engine;
    }

    private List<Engine.ConnectionInfo> Fetch(Engine.ConnectionQuery filter)
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
