using System.Collections.Immutable;
using System.Management.Automation;
using System.Net;
using C10kServer.Scripting;
using Newtonsoft.Json;

namespace C10kServer;

/// <summary>A TCP server in this process. The object is live: its properties read the present values.</summary>
/// <remarks>After the server has stopped the object stays readable, with the final counters.</remarks>
public sealed class Server : IDisposable
{
    /// <summary>A worker answers between two turns of its loop. A worker that takes longer than this is stuck.</summary>
    internal static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);

    private readonly HandlerSource _handler;
    private readonly BusyMeter _busy = new();

    // Allows one operation on the server at a time. Reading the server needs no lock, because a reader takes the engine object as it is.
    private readonly Lock _operation = new();

    // A restart replaces both.
    private volatile Engine.Server _engine;
    private HandlerPool? _pool;

    // The number of cmdlets that wait for a drain and handle its end. A restart needs the port and the name, which a stop would free.
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

    /// <summary>Raised when a worker has taken over a new connection. Events are raised on a thread of their own, one after the other.</summary>
    public event EventHandler<ConnectionEventArgs> ConnectionOpened
    {
        add => Events.Add(Engine.ServerEventKind.ConnectionOpened, value);
        remove => Events.Remove(Engine.ServerEventKind.ConnectionOpened, value);
    }

    /// <summary>Raised when a connection has ended. Events are raised on a thread of their own, one after the other.</summary>
    public event EventHandler<ConnectionEventArgs> ConnectionClosed
    {
        add => Events.Add(Engine.ServerEventKind.ConnectionClosed, value);
        remove => Events.Remove(Engine.ServerEventKind.ConnectionClosed, value);
    }

    /// <summary>Raised when the server has changed its state. Events are raised on a thread of their own, one after the other.</summary>
    public event EventHandler<ServerStateEventArgs> StateChanged
    {
        add => Events.Add(value);
        remove => Events.Remove(Engine.ServerEventKind.StateChanged, value);
    }

    /// <summary>The server's number, unique in the process and never used again.</summary>
    public int Id { get; }

    /// <summary>The server's name, unique among the servers that run.</summary>
    public string Name { get; }

    /// <summary>The state of the server.</summary>
    public ServerState State => (ServerState)_engine.State;

    /// <summary>The protocol of the server: a built-in protocol, Script, or the type of a compiled handler.</summary>
    public string Protocol => _handler.Name;

    /// <summary>The first address that the server listens on.</summary>
    public IPAddress? Address => (EndPoint as IPEndPoint)?.Address;

    /// <summary>The port that the server listens on. It is the real port, also if the kernel chose it.</summary>
    public int Port => _engine.Port;

    /// <summary>The first address and port that the server listens on, or the path of its socket.</summary>
    public EndPoint? EndPoint => _engine.EndPoints is [EndPoint first, ..] ? first : null;

    /// <summary>All addresses and ports, and the path, that the server listens on.</summary>
    public EndPoint[] EndPoints => [.. _engine.EndPoints];

    /// <summary>The number of worker threads.</summary>
    public int WorkerCount => _engine.Options.WorkerCount;

    /// <summary>The number of connections at this moment.</summary>
    public int ConnectionCount => _engine.ConnectionCount;

    /// <summary>The highest number of connections that there were at a time.</summary>
    public int PeakConnectionCount => _engine.PeakConnectionCount;

    /// <summary>The connections accepted since the start. A restart sets all counters back to zero.</summary>
    public long Accepted => _engine.Accepted;

    /// <summary>The connections turned away because a limit was reached.</summary>
    public long Rejected => _engine.Rejected;

    /// <summary>The connections that have ended.</summary>
    public long Closed => _engine.Closed;

    /// <summary>The number of accepts that failed, for lack of descriptors for instance.</summary>
    public long AcceptErrors => _engine.AcceptErrors;

    /// <summary>The bytes received from all connections.</summary>
    public long BytesReceived => _engine.BytesReceived;

    /// <summary>The bytes sent to all connections.</summary>
    public long BytesSent => _engine.BytesSent;

    /// <summary>The messages received from all connections.</summary>
    public long MessagesReceived => _engine.MessagesReceived;

    /// <summary>The connections accepted per second, over the last second.</summary>
    public double AcceptRate => _engine.AcceptRate;

    /// <summary>The bytes received per second, over the last second.</summary>
    public double ReceiveRate => _engine.ReceiveRate;

    /// <summary>The bytes sent per second, over the last second.</summary>
    public double SendRate => _engine.SendRate;

    /// <summary>
    /// The number of exceptions that the handler threw, each of which closed its connection, and of errors that a script handler wrote.
    /// </summary>
    public long HandlerErrors => _engine.HandlerErrors;

    /// <summary>The number of messages for which a script handler took longer than -HandlerTimeout. Each of them closed its connection.</summary>
    public long HandlerTimeouts => _engine.HandlerTimeouts;

    /// <summary>The number of exceptions that subscribers of the events threw.</summary>
    public long EventErrors => _engine.EventErrors;

    /// <summary>The number of events that subscribers missed because they are too slow.</summary>
    public long EventsLost => _engine.EventsLost;

    /// <summary>The last error.</summary>
    public string? LastError => _engine.LastError;

    /// <summary>When the server was started, in local time.</summary>
    public DateTimeOffset StartTime => _engine.StartTime.ToLocalTime();

    /// <summary>The time for which the server has run.</summary>
    public TimeSpan Uptime => _engine.Uptime;

    /// <summary>The options that the server was started with, or that were last set.</summary>
    public ServerOptions Options => new(_engine.Options, _handler);

    /// <summary>
    /// The same as <see cref="GetWorkers"/>. It is hidden from converters, because an export of a server should not export its workers.
    /// </summary>
    [Hidden]
    [JsonIgnore]
    public Worker[] Workers => GetWorkers();

    /// <summary>
    /// The same as <see cref="GetConnections"/>. It is hidden from converters, because an export of a server should not export its connections.
    /// </summary>
    /// <exception cref="TimeoutException">A worker did not answer.</exception>
    [Hidden]
    [JsonIgnore]
    public Connection[] Connections => GetConnections();

    /// <summary>The runspace that started the server. When that runspace removes the module, the server is stopped.</summary>
    internal Guid Runspace { get; private set; }

    /// <summary>Whether the server has faulted, or has stopped for good. A server between the two halves of a restart is not over.</summary>
    internal bool IsOver => State == ServerState.Faulted || (State == ServerState.Stopped && !ServerRegistry.Contains(this));

    /// <summary>Whether, after <see cref="BeginDrain"/>, no connection is left and no connection can come any more.</summary>
    internal bool IsDrained => _engine.IsDrained;

    /// <summary>Whether the server listens on sockets that systemd passed. Such a socket cannot be opened again once it is closed.</summary>
    internal bool HasInheritedSockets => _engine.Options.Inherited.Count > 0;

    internal ServerEvents Events { get; }

    /// <summary>The server's log.</summary>
    internal Engine.EventLog Log => _engine.Options.Log;

    /// <summary>Whether the server was stopped and its last record is in the log.</summary>
    internal bool HasEnded => _engine.HasEnded;

    /// <summary>The worker threads, as they are now.</summary>
    /// <returns>An object for each worker.</returns>
    public Worker[] GetWorkers()
    {
        Engine.Server engine = _engine;
        TimeSpan uptime = engine.Uptime;
        return [.. engine.GetWorkers().Select(w => new Worker(this, w, _busy.Read(w.Id, w.CpuTime, uptime)))];
    }

    /// <summary>The connections, as they are now. Get-C10kConnection writes them one by one, and has filters.</summary>
    /// <returns>An object for each connection.</returns>
    /// <exception cref="TimeoutException">A worker did not answer.</exception>
    public Connection[] GetConnections() => [.. Fetch(new Engine.ConnectionQuery()).Select(info => new Connection(this, info))];

    /// <summary>Stops the server.</summary>
    public void Dispose() => Stop(reset: false);

    /// <summary>A short text for the server.</summary>
    /// <returns>For instance "C10k1 (127.0.0.1:8080)".</returns>
    public override string ToString() => EndPoint is null ? Name : $"{Name} ({EndPoint})";

    /// <summary>Starts the server. May be called once.</summary>
    /// <exception cref="Engine.ServerStartException">The server cannot start. Nothing is left behind.</exception>
    /// <exception cref="HandlerScriptException">The runspaces of its handler cannot be made. Nothing is left behind.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left behind.</exception>
    internal void Start(CancellationToken cancel)
    {
        lock (_operation)
        {
            StartEngine(cancel);
        }
    }

    /// <summary>Adds a record to the server's log.</summary>
    internal void Report(Engine.EventLevel level, string message) => _engine.Report(level, message);

    /// <summary>Stops the server and frees its name. May be called from any thread, any number of times.</summary>
    internal void Stop(bool reset)
    {
        _engine.RefuseOwnThread();
        lock (_operation)
        {
            // The name is removed after the stop, so that the port is free, too, when the name is free.
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
    /// Starts the server again, at the same place and with the same options and handler. Stops it first if it has not ended.
    /// Returns false if the server had ended and another server has its name now.
    /// </summary>
    /// <param name="runspace">The runspace that becomes the owner of a server that had ended.</param>
    /// <exception cref="Engine.ServerStartException">The server cannot start again. It is stopped, and its name is free.</exception>
    /// <exception cref="HandlerScriptException">The runspaces of its handler cannot be made. It is stopped, and its name is free.</exception>
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
                // The listening sockets stay open during the restart, so that the port is kept and no client is refused.
                using Engine.SocketHandover sockets = new();
                StopEngine(reset: false, sockets);
                Engine.ServerOptions options = _engine.Options;

                // If the kernel chose the port, the restarted server uses that port, because clients know it.
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

    /// <exception cref="InvalidOperationException">The server is neither running nor suspended.</exception>
    internal void Suspend()
    {
        lock (_operation)
        {
            _engine.Suspend();
        }
    }

    /// <exception cref="InvalidOperationException">The server is neither running nor suspended.</exception>
    internal void Resume()
    {
        lock (_operation)
        {
            _engine.Resume();
        }
    }

    /// <summary>From now on the caller handles the end of a drain, until it calls <see cref="ReleaseDrain"/>.</summary>
    internal void HoldDrain() => Interlocked.Increment(ref _drainHolds);

    /// <summary>Takes back a <see cref="HoldDrain"/>: a server that has drained, or will drain, then stops by itself.</summary>
    internal void ReleaseDrain() => Interlocked.Decrement(ref _drainHolds);

    /// <summary>Stops listening and lets the connections finish. Returns false if the server is over.</summary>
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

    /// <summary>Changes options while the server runs. Returns false if a worker that is to leave is held up.</summary>
    /// <exception cref="ArgumentException">An option is out of its range, or cannot be changed now.</exception>
    /// <exception cref="Engine.ServerStartException">There are not enough descriptors. Nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The server is over.</exception>
    internal bool Reconfigure(Func<Engine.ServerOptions, Engine.ServerOptions> change)
    {
        _engine.RefuseOwnThread();
        lock (_operation)
        {
            return _engine.Reconfigure(change(_engine.Options));
        }
    }

    /// <summary>Checks options in the same way as <see cref="Reconfigure"/>, and changes nothing.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal void Check(Func<Engine.ServerOptions, Engine.ServerOptions> change) => change(_engine.Options).Validate();

    /// <summary>Sets the log level. From now on less important records are not logged.</summary>
    internal void SetLogLevel(LogLevel level) => _engine.LogLevel = (Engine.EventLevel)level;

    /// <summary>The engine's view of the workers. Reading it does not affect the measurement of BusyPercent.</summary>
    internal IReadOnlyList<Engine.WorkerInfo> GetWorkerInfos() => _engine.GetWorkers();

    internal Engine.ConnectionWalk Walk(Engine.ConnectionQuery filter) => _engine.Walk(filter);

    /// <summary>
    /// The connections that ended last, the latest one first. They stay readable when the server is stopped, and include connections from
    /// before a restart.
    /// </summary>
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

    // The engine calls this on a thread that it has started for the purpose, once the last connection has ended.
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

    // The engine stops first, because connections that end are reported to the handlers.
    private void StopEngine(bool reset, Engine.SocketHandover? sockets = null)
    {
        _engine.Stop(reset, sockets);
        _pool?.Stop();
    }

    private void StartEngine(CancellationToken cancel, Engine.SocketHandover? sockets = null)
    {
        // The pool starts first, so that the first message finds its handler.
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
