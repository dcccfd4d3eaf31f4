using System.Collections.Immutable;
using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// A TCP server. It owns an AcceptLoop, which accepts, and Workers, which hold the connections. Its members may be called from any thread,
/// except that <see cref="Stop"/> must not be called on the engine's own threads. Counters are live; after the server's end they are final.
/// </summary>
public sealed partial class Server : IDisposable
{
    // A thread that does not end in this time is held up by a handler, and nobody's shell waits for that.
    private const int JoinMilliseconds = 1500;

    // A subscriber that was just told of the end gets this time to handle it, so that in most cases no thread is left.
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
    /// <param name="predecessor">The server that this one continues after a restart. The connections that it has closed can still be seen.</param>
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

    /// <summary>The options that the server was made with, or that were last given to <see cref="Reconfigure"/>.</summary>
    public ServerOptions Options => _options;

    /// <summary>The server's current state.</summary>
    public ServerState State => _state;

    /// <summary>
    /// The addresses that the server listens on. If port 0 was asked for, they have the port that the kernel chose. Empty before the server
    /// was started.
    /// </summary>
    public IReadOnlyList<EndPoint> EndPoints { get; private set; } = [];

    /// <summary>The port that the server listens on; 0 before it was started, and if it has no port.</summary>
    public int Port => EndPoints.OfType<IPEndPoint>().FirstOrDefault()?.Port ?? 0;

    /// <summary>The backlog that the kernel has, after the cap of net.core.somaxconn.</summary>
    public int EffectiveBacklog { get; private set; }

    /// <summary>The number of connections that may be open at a time.</summary>
    public int ConnectionLimit { get; private set; }

    internal WorkerPool Workers { get; }

    internal Counters AcceptLoopCounters { get; } = new();

    /// <summary>
    /// Ends the server within milliseconds. Accepting ends first. Then every connection is closed, in order as far as that needs no
    /// waiting, or with a reset. When the call returns, no descriptor is left, and no thread except one that a handler blocks. A further
    /// call does nothing.
    /// </summary>
    /// <param name="reset">Whether connections are reset, and what they have queued is dropped.</param>
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

            // The acceptor ends first, and completely. After that, no descriptor is on its way to a worker.
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

        // This is outside the lock, because a subscriber may want the lock.
        if (!Events.Join(LastWord))
        {
            Log.ThreadAbandoned(Options.Name, "the thread of its events", (int)LastWord.TotalMilliseconds);
        }
    }

    /// <summary>Stops the server.</summary>
    public void Dispose() => Stop();

    /// <summary>Refuses a caller on one of the engine's threads. For methods that wait for these threads.</summary>
    /// <exception cref="InvalidOperationException">The caller is one of the engine's threads, which cannot wait for itself.</exception>
    public void RefuseOwnThread()
    {
        if (_acceptLoop is { IsCurrent: true } || Workers.IsCurrentThread())
        {
            throw new InvalidOperationException("A server cannot be stopped or changed from a handler: its thread would wait for itself.");
        }
    }

    /// <summary>Pauses accepting. Connects wait in the kernel's queue, and open connections go on.</summary>
    /// <exception cref="InvalidOperationException">The server is neither running nor suspended.</exception>
    public void Suspend()
    {
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended);
            SetIntake(Intake.Suspended);
            Become(ServerState.Suspended);
        }
    }

    /// <summary>Goes on with accepting.</summary>
    /// <exception cref="InvalidOperationException">The server is neither running nor suspended.</exception>
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
    /// Stops listening, once everything in the kernel's queue is accepted. Connections may finish. The server ends by itself after its last
    /// connection, see <see cref="Drained"/>, whether or not a caller waits for that.
    /// </summary>
    /// <exception cref="InvalidOperationException">The server is neither running nor suspended nor draining.</exception>
    public void BeginDrain()
    {
        lock (_lifecycle)
        {
            Require(ServerState.Running, ServerState.Suspended, ServerState.Draining);
            SetIntake(Intake.Draining);
            Become(ServerState.Draining);
        }
    }

    /// <summary>Waits while connections finish. Returns false when some are left at the deadline.</summary>
    /// <param name="timeout">How long the connections may take.</param>
    /// <param name="progress">Gets the number of connections that are left, ten times a second.</param>
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

            // A look now and then costs the workers nothing. An event at each close would cost them something.
            cancel.WaitHandle.WaitOne((int)Math.Min(100, Math.Max(1, deadline - Clock.Now)));
            cancel.ThrowIfCancellationRequested();
        }

        return true;
    }

    /// <summary>
    /// Changes limits, timeouts, dispatch and the number of workers while the server runs. Connections of a worker that leaves go to the
    /// other workers, with their queued output and half-read requests.
    /// </summary>
    /// <returns>False when a worker that is to leave is held up by a handler. The worker leaves as soon as it can.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, or cannot be changed while the server runs.</exception>
    /// <exception cref="ServerStartException">There are not enough descriptors or threads; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The server has ended, or has not been started.</exception>
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
                // There are other workers to deal to now. A handler that blocks the first worker must not keep other clients from being
                // accepted (pitfall 32).
                Workers.Current[0].Post(new Command(CommandKind.StopAccepting));
            }

            _options = options;
            ConnectionLimit = limit;
            Workers.Post(new Command(CommandKind.Configure));
            return options.WorkerCount >= Workers.Count || Workers.Shrink(options.WorkerCount, TimeSpan.FromMilliseconds(JoinMilliseconds));
        }
    }

    /// <summary>
    /// Called on the engine thread that failed. The other threads are told to end, and each closes what it owns. Nothing is waited for
    /// here, because <see cref="Stop"/> may be waiting for this thread.
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

            // A thread that was abandoned at the stop may also fail now. It is logged, too, and the server stays as it ended.
            Log.ServerFaulted(Options.Name, thread, exception);
        }
        catch (Exception e)
        {
            // Memory may have run out, for example. Nobody catches what is thrown here, and it would end the shell (pitfall 44).
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

    /// <summary>
    /// Changes the state. Returns false when the server is in that state already, or has ended: the state of a server that has ended never
    /// changes.
    /// </summary>
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

    // This is done once, by the stop or by a fault, whichever comes first.
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
