using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A TCP server: owns a Listener, which accepts, and Workers, which hold the connections. Its members may be called from any
/// thread, except that <see cref="Stop"/> is not for the engine's own. Counters are live; after the end they are final.
/// </summary>
public sealed class Server : IDisposable
{
    // A thread that does not end in this time is held up by a handler, and nobody's shell waits for that.
    private const int JoinMilliseconds = 1500;

    // A subscriber that was just told of the end is given this time to take it in, so that mostly no thread is left.
    private static readonly TimeSpan LastWord = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lifecycle = new();
    private Listener? _listener;
    private volatile ServerOptions _options;
    private volatile ServerState _state;
    private volatile string? _lastError;
    private volatile Intake _intake;
    private readonly LogThrottle _handlerErrors = new();
    private readonly LogThrottle _stalls = new();
    private LogFile? _logFile;
    private volatile bool _ended;
    private int _peak;
    private int _spares;
    private long _startedAt;
    private long _endedAt;

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public Server(ServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        Workers = new WorkerPool(this);
        Observers = new ObserverList(this);
        Events = new EventDispatcher(this);
    }

    /// <summary>What it was made with, or last given by <see cref="Reconfigure"/>.</summary>
    public ServerOptions Options => _options;

    /// <summary>Where it is in its life.</summary>
    public ServerState State => _state;

    /// <summary>Where it listens, with the port that the kernel chose where 0 was asked for. Empty before it was started.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; private set; } = [];

    /// <summary>The port that it listens on, or 0 before it was started and where it has none.</summary>
    public int Port => EndPoints.OfType<IPEndPoint>().FirstOrDefault()?.Port ?? 0;

    /// <summary>The backlog as the kernel has it, after net.core.somaxconn.</summary>
    public int EffectiveBacklog { get; private set; }

    /// <summary>The connections that may be open at a time.</summary>
    public int ConnectionLimit { get; private set; }

    /// <summary>Connections accepted and not closed yet.</summary>
    public int ConnectionCount
    {
        get
        {
            // In this order: what is accepted in between is one too many rather than one too few, never below zero.
            long closed = Closed;
            return (int)(Accepted - closed);
        }
    }

    /// <summary>
    /// After <see cref="BeginDrain"/>: what was in the kernel's queue is accepted, and every connection is over. The count alone does not
    /// say so, as it may be 0 before the acceptors have had their turn.
    /// </summary>
    public bool IsDrained =>
        // The listener last: what a worker has given to it is there by then.
        _state == ServerState.Draining
        && Workers.Current.All(static worker => worker.Acceptor.IsDrained)
        && _listener!.IsDrained
        && ConnectionCount == 0;

    /// <summary>The Id that was last given to a connection, of any server of the process: those of later ones are higher.</summary>
    public static long LastConnectionId => Worker.LastConnectionId;

    /// <summary>The most connections that were open at a time.</summary>
    public int PeakConnectionCount => Volatile.Read(ref _peak);

    /// <summary>Connections accepted.</summary>
    public long Accepted => Sum(static counters => Volatile.Read(ref counters.Accepted));

    /// <summary>Connections reset as the limit was reached.</summary>
    public long Rejected => Sum(static counters => Volatile.Read(ref counters.Rejected));

    /// <summary>Connections closed.</summary>
    public long Closed => Sum(static counters => Volatile.Read(ref counters.Closed));

    /// <summary>Failures of accept, and of registering what was accepted.</summary>
    public long AcceptErrors => Sum(static counters => Volatile.Read(ref counters.AcceptErrors));

    /// <summary>Bytes received on all connections.</summary>
    public long BytesReceived => Sum(static counters => Volatile.Read(ref counters.BytesReceived));

    /// <summary>Bytes sent on all connections.</summary>
    public long BytesSent => Sum(static counters => Volatile.Read(ref counters.BytesSent));

    /// <summary>Calls of OnReceived, and read requests served.</summary>
    public long MessagesReceived => Sum(static counters => Volatile.Read(ref counters.MessagesReceived));

    /// <summary>Exceptions that handlers threw, and errors that they reported.</summary>
    public long HandlerErrors => Sum(static counters => Volatile.Read(ref counters.HandlerErrors)) + (Options.Sessions?.HandlerErrors ?? 0);

    /// <summary>Handlers on handler threads that took longer with a message than they may; each closed its connection.</summary>
    public long HandlerTimeouts => Options.Sessions?.HandlerTimeouts ?? 0;

    /// <summary>Exceptions that subscribers threw, see <see cref="Subscribe"/>.</summary>
    public long EventErrors => Events.Errors;

    /// <summary>Events that subscribers were not told of: they are too slow.</summary>
    public long EventsLost => Events.Lost;

    /// <summary>The last failure, of a handler or of the server itself.</summary>
    public string? LastError => _lastError;

    /// <summary>When it was started.</summary>
    public DateTimeOffset StartTime => Clock.ToWallClock(_startedAt);

    /// <summary>How long it has been running, or did run.</summary>
    public TimeSpan Uptime => _startedAt == 0
        ? TimeSpan.Zero
        : TimeSpan.FromMilliseconds((Volatile.Read(ref _endedAt) is not 0 and var ended ? ended : Clock.Now) - _startedAt);

    /// <summary>Connections accepted a second, over the last second.</summary>
    public double AcceptRate => _listener?.Rates.Accepts ?? 0;

    /// <summary>Bytes received a second, over the last second.</summary>
    public double ReceiveRate => _listener?.Rates.Receives ?? 0;

    /// <summary>Bytes sent a second, over the last second.</summary>
    public double SendRate => _listener?.Rates.Sends ?? 0;

    /// <summary>Events below it are not logged. Live.</summary>
    public EventLevel LogLevel
    {
        get => Log.MinimumLevel;
        set => Log.MinimumLevel = value;
    }

    /// <summary>It was stopped, and its last event is in the log.</summary>
    public bool HasEnded => _ended;

    internal EventLog Log => Options.Log;

    internal WorkerPool Workers { get; }

    internal ObserverList Observers { get; }

    private EventDispatcher Events { get; }

    /// <summary>What the acceptors go by, at each of their turns.</summary>
    internal Intake Intake => _intake;

    internal Counters ListenerCounters { get; } = new();

    internal AddressLimiter Addresses { get; } = new();

    internal AcceptRateLimiter AcceptRates { get; } = new(Clock.Now);

    internal ClosedRing ClosedConnections { get; } = new();

    /// <summary>Binds, listens, and starts the threads: when it returns, clients can connect.</summary>
    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    /// <exception cref="InvalidOperationException">It was started before.</exception>
    public void Start()
    {
        lock (_lifecycle)
        {
            if (_state != ServerState.Created)
            {
                throw new InvalidOperationException($"The server is {_state}: a server starts once.");
            }

            Listener? listener = null;
            try
            {
                SpareDescriptors.Join();
                _spares = 1;
                ConnectionLimit = Descriptors.ConnectionLimit(Options);
                listener = new Listener(this);
                Workers.Grow(Options.WorkerCount, start: false);

                // With one worker there is nobody to deal to: the loop that will have the connections accepts them itself, which saves a hop from
                // thread to thread for each.
                Listen(Workers.Count == 1 ? Workers.Current[0].Acceptor : listener.Acceptor);
                OpenLog();
                _listener = listener;
            }
            catch (EngineException e)
            {
                throw ServerStartException.For(e);
            }
            finally
            {
                if (_listener is null)
                {
                    listener?.Dispose();
                    Workers.Dispose();
                    LeaveSpares();
                    EndPoints = [];
                }
            }

            _startedAt = Clock.Now;
            Become(ServerState.Running);
            _logFile?.Start();
            Workers.Start();
            _listener.Start();
            LogStart();
            ServerMeter.Join(this);
        }
    }

    /// <summary>
    /// Ends it, within milliseconds: accepting ends first, then every connection is closed, in order as far as that needs no
    /// waiting, or with a reset. When it returns, no descriptor is left and no thread but one that a handler
    /// blocks. Calling it again does nothing.
    /// </summary>
    /// <param name="reset">Connections are reset, and what they have queued is dropped.</param>
    /// <exception cref="InvalidOperationException">The caller is one of the engine's own threads, which cannot wait for itself.</exception>
    public void Stop(bool reset = false)
    {
        RefuseOwnThread();
        lock (_lifecycle)
        {
            if (_state == ServerState.Created)
            {
                Become(ServerState.Stopped);
                Observers.End();
                _ended = true;
            }

            if (_ended || _listener is null)
            {
                return;
            }

            // First the acceptor, and to its end: after that, no descriptor is on its way to a worker.
            _listener.BeginStop();
            long deadline = Clock.Now + JoinMilliseconds;
            if (!_listener.Join(TimeSpan.FromMilliseconds(JoinMilliseconds)))
            {
                Abandon("the acceptor");
            }

            Workers.Post(new Command(CommandKind.Stop, Number: reset ? 1 : 0));
            foreach (Worker worker in Workers.Join(deadline))
            {
                worker.Acceptor.Silence();
                Abandon($"worker {worker.Id}");
            }

            LeaveSpares();
            End();
            if (_state != ServerState.Faulted)
            {
                Become(ServerState.Stopped);
            }

            Observers.End();
            ServerMeter.Leave(this);
            LogEnd();
        }

        // Outside the lock, which a subscriber may want.
        if (!Events.Join(LastWord))
        {
            Log.ThreadAbandoned(Options.Name, "the thread of its events", (int)LastWord.TotalMilliseconds);
        }
    }

    /// <summary>Stops it.</summary>
    public void Dispose() => Stop();

    /// <summary>For who is about to wait for the engine's threads.</summary>
    /// <exception cref="InvalidOperationException">The caller is one of them, which cannot wait for itself.</exception>
    public void RefuseOwnThread()
    {
        if (_listener is { IsCurrent: true } || Workers.IsCurrentThread())
        {
            throw new InvalidOperationException("A server cannot be stopped or changed from a handler: its thread would wait for itself.");
        }
    }

    /// <summary>Adds to the server's log, for what runs beside the engine.</summary>
    public void Report(EventLevel level, string message) => Log.Reported((Microsoft.Extensions.Logging.LogLevel)level, Options.Name, message);

    /// <summary>A look at the workers.</summary>
    public IReadOnlyList<WorkerInfo> GetWorkers() => [.. Workers.Current.Select(static worker => worker.ToInfo())];

    /// <summary>The last connections that were closed, up to 1,024, the last one first: with reason, counters and duration.</summary>
    public IReadOnlyList<ConnectionInfo> GetClosed() => ClosedConnections.GetRows();

    /// <summary>Begins a walk over the connections.</summary>
    public ConnectionWalk Walk(ConnectionFilter filter)
    {
        ArgumentNullException.ThrowIfNull(filter);
        return new ConnectionWalk(filter, Workers);
    }

    /// <summary>
    /// Sends bytes to connections that there are now, each once, and walks over those that have taken them. As with every write, one whose peer
    /// does not read is reset when too much is queued; its row says so.
    /// </summary>
    /// <param name="filter">Who gets them.</param>
    /// <param name="data">The bytes, at least one.</param>
    public ConnectionWalk Broadcast(ConnectionFilter filter, ImmutableArray<byte> data)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentOutOfRangeException.ThrowIfZero(data.Length);
        return new ConnectionWalk(filter, Workers, new Broadcast(data, Worker.LastConnectionId));
    }

    /// <summary>
    /// Has a connection's worker do something with it, and tells what it was like just after. False: there is no such connection any
    /// more.
    /// </summary>
    /// <param name="target">The connection.</param>
    /// <param name="action">What to do.</param>
    /// <param name="timeout">How long to wait for the worker.</param>
    /// <param name="cancel">Ends the wait. What was asked for is under way then, as it is after a timeout.</param>
    /// <param name="after">The connection just after.</param>
    /// <param name="moveTo">The worker that is to have it, for <see cref="ConnectionAction.Move"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such worker to move to.</exception>
    /// <exception cref="TimeoutException">Its worker did not answer: a handler blocks it.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool TryAct(
        ConnectionRef target,
        ConnectionAction action,
        TimeSpan timeout,
        CancellationToken cancel,
        [NotNullWhen(true)] out ConnectionInfo? after,
        int moveTo = -1)
    {
        if (action == ConnectionAction.Send)
        {
            throw new ArgumentException($"Bytes are sent with {nameof(TrySend)}.", nameof(action));
        }

        Worker? heir = null;
        if (action == ConnectionAction.Move)
        {
            IReadOnlyList<Worker> workers = Workers.Current;
            if ((uint)moveTo >= (uint)workers.Count)
            {
                throw new ArgumentOutOfRangeException(nameof(moveTo), moveTo, $"The workers are 0 to {workers.Count - 1}.");
            }

            heir = workers[moveTo];
        }

        after = Workers.Ask(target, action, heir, null, timeout, cancel);
        return after is not null;
    }

    /// <summary>Sends bytes on a connection, as its handler would, and tells what it was like just after.</summary>
    /// <param name="target">The connection.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="timeout">How long to wait for the worker.</param>
    /// <param name="cancel">Ends the wait. What was asked for is under way then, as it is after a timeout.</param>
    /// <param name="after">The connection just after.</param>
    /// <exception cref="TimeoutException">Its worker did not answer: a handler blocks it.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public SendOutcome TrySend(
        ConnectionRef target, ImmutableArray<byte> data, TimeSpan timeout, CancellationToken cancel, out ConnectionInfo? after)
    {
        var parcel = new Parcel(data);
        after = Workers.Ask(target, ConnectionAction.Send, null, parcel, timeout, cancel);
        return after is null ? SendOutcome.NotFound : parcel.Outcome;
    }

    /// <summary>
    /// Has a subscriber told of what happens from now on, one event after the other, on a thread that is neither the caller's nor a worker's.
    /// </summary>
    public void Subscribe(Action<ServerEvent> subscriber)
    {
        ArgumentNullException.ThrowIfNull(subscriber);
        Events.Add(subscriber);
    }

    /// <summary>Takes back a <see cref="Subscribe"/>. With the last one the thread ends.</summary>
    public void Unsubscribe(Action<ServerEvent> subscriber)
    {
        ArgumentNullException.ThrowIfNull(subscriber);
        Events.Remove(subscriber);
    }

    /// <summary>Accepting pauses: connects wait in the kernel's queue, open connections go on.</summary>
    /// <exception cref="InvalidOperationException">It is neither running nor suspended.</exception>
    public void Suspend()
    {
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended);
            SetIntake(Intake.Suspended);
            Become(ServerState.Suspended);
        }
    }

    /// <summary>Accepting goes on.</summary>
    /// <exception cref="InvalidOperationException">It is neither running nor suspended.</exception>
    public void Resume()
    {
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended);
            SetIntake(Intake.Open);
            Become(ServerState.Running);
        }
    }

    /// <summary>
    /// Stops listening, once what is in the kernel's queue is accepted; connections may finish. Who drains watches
    /// <see cref="IsDrained"/>, and stops the server when that is so or its patience is at an end.
    /// </summary>
    /// <exception cref="InvalidOperationException">It is neither running nor suspended nor draining.</exception>
    public void BeginDrain()
    {
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended, ServerState.Draining);
            SetIntake(Intake.Draining);
            Become(ServerState.Draining);
        }
    }

    /// <summary>Waits while connections finish. False when some are left at the deadline.</summary>
    /// <param name="timeout">How long they may take.</param>
    /// <param name="progress">Told the number of connections left, ten times a second.</param>
    /// <param name="cancel">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool WaitUntilDrained(TimeSpan timeout, IProgress<int>? progress, CancellationToken cancel)
    {
        long deadline = Clock.Add(Clock.Now, Clock.ToMilliseconds(timeout));
        while (!IsDrained && _state is not (ServerState.Stopped or ServerState.Faulted))
        {
            if (ConnectionCount is > 0 and var left)
            {
                progress?.Report(left);
            }

            if (Clock.Now >= deadline)
            {
                return false;
            }

            // A look now and then costs the workers nothing, which an event at each close would.
            cancel.WaitHandle.WaitOne((int)Math.Min(100, Math.Max(1, deadline - Clock.Now)));
            cancel.ThrowIfCancellationRequested();
        }

        return true;
    }

    /// <summary>
    /// Changes limits, timeouts, dispatch and the number of workers while it runs. Connections of a worker that leaves go to the
    /// others, with their queued output and half-read requests.
    /// </summary>
    /// <returns>False when a worker that is to leave is held up by a handler: it leaves as soon as it can.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, or cannot be changed while the server runs.</exception>
    /// <exception cref="ServerStartException">There are not enough descriptors; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The server is over, or has not begun.</exception>
    public bool Reconfigure(ServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        RefuseOwnThread();
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended, ServerState.Draining);
            if (_options.FirstFixedDifference(options) is { } name)
            {
                throw new ArgumentException($"{name} cannot be changed while the server runs: stop it and start another.", name);
            }

            int limit = options.MaxConnections == _options.MaxConnections ? ConnectionLimit : Descriptors.ConnectionLimit(options, ConnectionCount);
            if (options.WorkerCount > Workers.Count)
            {
                try
                {
                    Workers.Grow(options.WorkerCount, start: true);
                }
                catch (EngineException e)
                {
                    throw ServerStartException.For(e);
                }

                if (options.Dispatch != DispatchMode.ReusePort)
                {
                    // There is somebody to deal to now, and a handler that blocks the first one must not keep others from being accepted (pitfall 32).
                    Workers.Current[0].Post(new Command(CommandKind.StopAccepting));
                }
            }

            _options = options;
            ConnectionLimit = limit;
            Workers.Post(new Command(CommandKind.Configure));
            return options.WorkerCount >= Workers.Count || Workers.Shrink(options.WorkerCount, TimeSpan.FromMilliseconds(JoinMilliseconds));
        }
    }

    /// <summary>From a worker's thread, or a handler thread.</summary>
    internal void OnHandlerError(Connection connection, Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Error, _handlerErrors))
        {
            Log.HandlerFailed(Options.Name, connection.Id, exception);
        }
    }

    /// <summary>From a handler thread.</summary>
    internal void OnHandlerErrorReported(Connection connection, Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Warning, _handlerErrors))
        {
            Log.HandlerErrorReported(Options.Name, connection.Id, exception);
        }
    }

    /// <summary>From the thread that watches over handler threads.</summary>
    internal void OnHandlerTimeout(Connection connection, TimeSpan after)
    {
        _lastError = string.Create(CultureInfo.InvariantCulture, $"the handler of connection {connection.Id} took longer than {after.TotalSeconds} s");
        if (MayLog(EventLevel.Warning, _handlerErrors))
        {
            Log.HandlerTimedOut(Options.Name, connection.Id, after.TotalSeconds);
        }
    }

    /// <summary>From a worker's thread.</summary>
    internal void OnHandlerFactoryError(Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Error, _handlerErrors))
        {
            Log.HandlerFactoryFailed(Options.Name, exception);
        }
    }

    /// <summary>From a worker's thread.</summary>
    internal void OnAdoptError(int errno, long count)
    {
        _lastError = Errno.Describe(errno);
        Log.AdoptFailed(Options.Name, _lastError, count);
    }

    /// <summary>From the thread that tells the subscribers, once a second at most.</summary>
    internal void OnSubscribersBehind(Exception? failure, long failures, long lost)
    {
        if (failure is not null)
        {
            _lastError = failure.Message;
            Log.SubscriberFailed(Options.Name, failures, failure);
        }

        if (lost > 0)
        {
            Log.EventsLost(Options.Name, lost);
        }
    }

    /// <summary>From a worker's thread, after the turn that was held up.</summary>
    internal void OnStall(int worker, long milliseconds)
    {
        if (MayLog(EventLevel.Warning, _stalls))
        {
            Log.WorkerStalled(Options.Name, worker, milliseconds);
        }
    }

    /// <summary>
    /// Says how many events the throttles have left out. From the Listener's thread once a second, at the end, and from whoever logs the
    /// next one: so each is told, and before what came after it.
    /// </summary>
    internal void LogLeftOut()
    {
        if (_handlerErrors.TakeLeftOut() is > 0 and var errors)
        {
            Log.HandlerErrorsLeftOut(Options.Name, errors, LogThrottle.Most);
        }

        if (_stalls.TakeLeftOut() is > 0 and var stalls)
        {
            Log.StallsLeftOut(Options.Name, stalls, LogThrottle.Most);
        }
    }

    /// <summary>
    /// From the engine thread that failed: the other ones are told to end, and each closes what it owns. Nothing is waited for here, as
    /// <see cref="Stop"/> may be waiting for this thread.
    /// </summary>
    internal void OnFault(string thread, Exception exception)
    {
        _lastError = exception.Message;
        ServerState before = _state;
        _state = ServerState.Faulted;
        End();
        _listener?.BeginStop();
        Workers.Post(new Command(CommandKind.Stop));
        LeaveSpares();
        try
        {
            Log.ServerFaulted(Options.Name, thread, exception);
            if (before != ServerState.Faulted)
            {
                Observers.OnStateChanged(before);
            }
        }
        catch (Exception e)
        {
            // Out of memory, say. What is thrown here nobody catches, and it would end the shell (pitfall 44).
            _lastError = $"{exception.Message}; and it could not be logged: {e.Message}";
        }
    }

    /// <summary>A worker gets sockets of its own with ReusePort, once it is known where; before its thread runs.</summary>
    internal void GiveSockets(Worker worker)
    {
        if (Options.Dispatch != DispatchMode.ReusePort || _intake == Intake.Draining)
        {
            return;
        }

        foreach (IPEndPoint endPoint in EndPoints.Cast<IPEndPoint>())
        {
            Add(worker.Acceptor, ListeningSocket.Open(endPoint.Address, endPoint.Port, Options, reusePort: true));
        }
    }

    /// <summary>From the thread of a worker that accepts no more: the Listener does.</summary>
    internal void ReturnSockets(ListeningSocket[] sockets) => _listener!.TakeOver(sockets);

    /// <summary>From an acceptor's thread.</summary>
    internal void OnPeak(int open)
    {
        for (int peak = _peak; open > peak;)
        {
            int before = Interlocked.CompareExchange(ref _peak, open, peak);
            if (before == peak)
            {
                return;
            }

            peak = before;
        }
    }

    /// <summary>Opens all that the options name. With ReusePort it is a look only, at what is free; then the workers open it.</summary>
    private void Listen(Acceptor acceptor)
    {
        var endPoints = new List<EndPoint>();
        int port = Options.Port;
        foreach (IPAddress address in Options.Addresses)
        {
            ListeningSocket socket = ListeningSocket.Open(address, port, Options);

            // Port 0 is one free port, and the same one on all addresses.
            port = ((IPEndPoint)socket.EndPoint).Port;
            endPoints.Add(socket.EndPoint);
            if (Options.Dispatch == DispatchMode.ReusePort)
            {
                // SO_REUSEPORT would let any server of this user in on the port: this is what refuses a second one (pitfall 23).
                socket.Dispose();
            }
            else
            {
                Add(acceptor, socket);
            }
        }

        if (Options.UnixPath is { } path)
        {
            Add(acceptor, ListeningSocket.OpenUnix(path, Options));
            endPoints.Add(new UnixEndPoint(path));
        }

        foreach (int fd in Options.Inherited)
        {
            ListeningSocket socket = ListeningSocket.Adopt(fd, Options);
            Add(acceptor, socket);
            endPoints.Add(socket.EndPoint);
        }

        EndPoints = endPoints;
        foreach (Worker worker in Workers.Current)
        {
            GiveSockets(worker);
        }
    }

    private static void Add(Acceptor acceptor, ListeningSocket socket)
    {
        int errno = acceptor.Add(socket);
        if (errno != 0)
        {
            socket.Dispose();
            throw new EngineException("epoll_ctl", errno);
        }
    }

    private void SetIntake(Intake intake)
    {
        _intake = intake;
        _listener!.Wake();

        // With ReusePort they accept; it wakes them, whatever else it does.
        Workers.Post(new Command(CommandKind.Configure));
    }

    private void Become(ServerState state)
    {
        ServerState before = _state;
        _state = state;
        if (state != before)
        {
            Observers.OnStateChanged(before);
        }
    }

    private void End() => Interlocked.CompareExchange(ref _endedAt, Clock.Now, 0);

    // Once, whichever comes first: the stop or a fault.
    private void LeaveSpares()
    {
        if (Interlocked.Exchange(ref _spares, 0) == 1)
        {
            SpareDescriptors.Leave();
        }
    }

    private void Abandon(string thread)
    {
        _lastError = $"{thread} did not end: a handler blocks it";
        Log.ThreadAbandoned(Options.Name, thread, JoinMilliseconds);
    }

    private void Require(params ReadOnlySpan<ServerState> states)
    {
        if (!states.Contains(_state))
        {
            throw new InvalidOperationException($"The server is {_state}.");
        }
    }

    private bool MayLog(EventLevel level, LogThrottle throttle)
    {
        if (level < LogLevel || !throttle.TryPass(Clock.Now))
        {
            return false;
        }

        LogLeftOut();
        return true;
    }

    private void OpenLog()
    {
        if (Options.LogPath is { } path)
        {
            try
            {
                _logFile = new LogFile(path, Options.Name, error => _lastError = error);
            }
            catch (EngineException e)
            {
                throw ServerStartException.ForLog(path, e.Errno);
            }

            Log.SetFile(_logFile);
        }
    }

    private void LogEnd()
    {
        LogLeftOut();
        Log.ServerStopped(Options.Name, Accepted, BytesReceived, BytesSent);
        Log.SetFile(null);
        _logFile?.End();

        // In this order: who sees that it has ended has its last event before him.
        _ended = true;
        Log.Wake();
    }

    private void LogStart()
    {
        int somaxconn = int.MaxValue;
        try
        {
            somaxconn = int.Parse(File.ReadAllText("/proc/sys/net/core/somaxconn"), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No descriptor left for it, or a sandbox. The server runs by now, and this is for the log alone.
        }

        EffectiveBacklog = Math.Min(Options.Backlog, somaxconn);
        if (EffectiveBacklog < Options.Backlog)
        {
            Log.BacklogCut(Options.Name, Options.Backlog, somaxconn);
        }

        Log.ServerStarted(Options.Name, string.Join(", ", EndPoints), Options.WorkerCount, ConnectionLimit, EffectiveBacklog);
    }

    private long Sum(Func<Counters, long> counter) => counter(ListenerCounters) + Workers.Sum(counter);
}
