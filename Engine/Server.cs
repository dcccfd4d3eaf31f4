using System.Collections.Immutable;
using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// A TCP server: owns an AcceptLoop, which accepts, and Workers, which hold the connections. Its members may be called from any
/// thread, except that <see cref="Stop"/> is not for the engine's own. Counters are live; after the end they are final.
/// </summary>
public sealed partial class Server : IDisposable
{
    // A thread that does not end in this time is held up by a handler, and nobody's shell waits for that.
    private const int JoinMilliseconds = 1500;

    // A subscriber that was just told of the end is given this time to take it in, so that mostly no thread is left.
    private static readonly TimeSpan LastWord = TimeSpan.FromMilliseconds(250);

    private readonly Lock _lifecycle = new();
    private AcceptLoop? _acceptLoop;
    private volatile ServerOptions _options;
    private volatile ServerState _state;
    private volatile string? _lastError;
    private volatile Intake _intake;
    private readonly LogThrottle _handlerErrors = new();
    private readonly LogThrottle _stalls = new();
    private readonly LogThrottle _limits = new();
    private LogFile? _logFile;
    private volatile bool _ended;
    private int _spares;
    private long _startedAt;
    private long _startedOn;
    private long _endedAt;

    /// <param name="options">What the server is to do.</param>
    /// <param name="predecessor">The server that this one continues after a restart: the connections that it has closed stay to be seen.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public Server(ServerOptions options, Server? predecessor = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        ClosedConnections = predecessor?.ClosedConnections ?? new ClosedRing();
        Workers = new WorkerPool(this);
        Observers = new ObserverList(this);
        Events = new SubscriberThread(this);
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

    internal WorkerPool Workers { get; }

    internal Counters AcceptLoopCounters { get; } = new();

    /// <summary>
    /// Ends it, within milliseconds: accepting ends first, then every connection is closed, in order as far as that needs no
    /// waiting, or with a reset. When it returns, no descriptor is left and no thread but one that a handler
    /// blocks. Calling it again does nothing.
    /// </summary>
    /// <param name="reset">Connections are reset, and what they have queued is dropped.</param>
    /// <param name="to">Takes the listening sockets, which stay open, for the server that takes this one's place.</param>
    /// <exception cref="InvalidOperationException">The caller is one of the engine's own threads, which cannot wait for itself.</exception>
    public void Stop(bool reset = false, SocketHandover? to = null)
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

            if (_ended || _acceptLoop is null)
            {
                return;
            }

            _handover = to;

            // First the acceptor, and to its end: after that, no descriptor is on its way to a worker.
            _acceptLoop.BeginStop();
            long deadline = Clock.Now + JoinMilliseconds;
            if (!_acceptLoop.Join(TimeSpan.FromMilliseconds(JoinMilliseconds)))
            {
                _acceptLoop.Acceptor.Silence();
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
            Become(ServerState.Stopped);
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
        if (_acceptLoop is { IsCurrent: true } || Workers.IsCurrentThread())
        {
            throw new InvalidOperationException("A server cannot be stopped or changed from a handler: its thread would wait for itself.");
        }
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
    /// Stops listening, once what is in the kernel's queue is accepted; connections may finish. The server ends by itself after its last connection,
    /// see <see cref="Drained"/>, whether or not a caller waits for that.
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
    /// <exception cref="ServerStartException">There are not enough descriptors or threads; nothing has changed.</exception>
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

            bool grows = options.WorkerCount > Workers.Count;
            int limit;
            try
            {
                limit = options.MaxConnections == _options.MaxConnections ? ConnectionLimit : DescriptorLimit.ConnectionLimit(options, ConnectionCount);
                if (grows)
                {
                    Workers.Grow(options.WorkerCount);
                }
            }
            catch (EngineException e)
            {
                throw ServerStartException.For(e);
            }

            if (grows && options.Dispatch != DispatchMode.ReusePort)
            {
                // There is somebody to deal to now, and a handler that blocks the first one must not keep others from being accepted (pitfall 32).
                Workers.Current[0].Post(new Command(CommandKind.StopAccepting));
            }

            _options = options;
            ConnectionLimit = limit;
            Workers.Post(new Command(CommandKind.Configure));
            return options.WorkerCount >= Workers.Count || Workers.Shrink(options.WorkerCount, TimeSpan.FromMilliseconds(JoinMilliseconds));
        }
    }

    /// <summary>
    /// From the engine thread that failed: the other ones are told to end, and each closes what it owns. Nothing is waited for here, as
    /// <see cref="Stop"/> may be waiting for this thread.
    /// </summary>
    internal void OnFault(string thread, Exception exception)
    {
        string text = ExceptionText.Message(exception);
        try
        {
            if (TryLeaveFor(ServerState.Faulted, out ServerState before))
            {
                _lastError = text;
                End();
                _acceptLoop?.BeginStop();
                Workers.Post(new Command(CommandKind.Stop));
                LeaveSpares();
                Observers.OnStateChanged(before);
            }

            // Also for a thread that was abandoned at the stop and fails now: the server stays as it ended.
            Log.ServerFaulted(Options.Name, thread, exception);
        }
        catch (Exception e)
        {
            // Out of memory, say. What is thrown here nobody catches, and it would end the shell (pitfall 44).
            _lastError = $"{text}; and it could not be logged: {ExceptionText.Message(e)}";
        }
    }

    private void Become(ServerState state)
    {
        if (TryLeaveFor(state, out ServerState before))
        {
            Observers.OnStateChanged(before);
        }
    }

    /// <summary>Changes the state. False when the server is in it already, or is over: the state of a server that is over never changes.</summary>
    private bool TryLeaveFor(ServerState state, out ServerState before)
    {
        do
        {
            before = _state;
            if (before == state || before is ServerState.Stopped or ServerState.Faulted)
            {
                return false;
            }
        }
        while (Interlocked.CompareExchange(ref _state, state, before) != before);
        return true;
    }

    private void End() => Interlocked.CompareExchange(ref _endedAt, Clock.Now, 0);

    // Once, whichever comes first: the stop or a fault.
    private void LeaveSpares()
    {
        if (Interlocked.Exchange(ref _spares, 0) == 1)
        {
            DescriptorReserve.Leave();
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
}
