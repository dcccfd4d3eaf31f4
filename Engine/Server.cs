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

    private readonly Lock _lifecycle = new();
    private Listener? _listener;
    private Worker[] _workers = [];
    private volatile ServerState _state;
    private volatile string? _lastError;
    private long _startedAt;
    private long _endedAt;

    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public Server(ServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
    }

    /// <summary>What it was made with.</summary>
    public ServerOptions Options { get; }

    /// <summary>Where it is in its life.</summary>
    public ServerState State => _state;

    /// <summary>Where it listens, with the port that the kernel chose where 0 was asked for. Empty before it was started.</summary>
    public IReadOnlyList<IPEndPoint> EndPoints => _listener?.EndPoints ?? [];

    /// <summary>The port that it listens on, or 0 before it was started.</summary>
    public int Port => _listener?.EndPoints[0].Port ?? 0;

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

    /// <summary>The most connections that were open at a time.</summary>
    public int PeakConnectionCount => _listener?.PeakConnectionCount ?? 0;

    /// <summary>Connections accepted.</summary>
    public long Accepted => _listener?.Accepted ?? 0;

    /// <summary>Connections reset as the limit was reached.</summary>
    public long Rejected => _listener?.Rejected ?? 0;

    /// <summary>Connections closed.</summary>
    public long Closed => Sum(static counters => Volatile.Read(ref counters.Closed));

    /// <summary>Failures of accept, and of registering what was accepted.</summary>
    public long AcceptErrors => (_listener?.Errors ?? 0) + Sum(static counters => Volatile.Read(ref counters.AdoptErrors));

    /// <summary>Bytes received on all connections.</summary>
    public long BytesReceived => Sum(static counters => Volatile.Read(ref counters.BytesReceived));

    /// <summary>Bytes sent on all connections.</summary>
    public long BytesSent => Sum(static counters => Volatile.Read(ref counters.BytesSent));

    /// <summary>Calls of OnReceived, and read requests served.</summary>
    public long MessagesReceived => Sum(static counters => Volatile.Read(ref counters.MessagesReceived));

    /// <summary>Exceptions that handlers threw.</summary>
    public long HandlerErrors => Sum(static counters => Volatile.Read(ref counters.HandlerErrors));

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

    internal EventLog Log => Options.Log;

    internal IReadOnlyList<Worker> Workers => _workers;

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

            var workers = new List<Worker>(Options.WorkerCount);
            try
            {
                ConnectionLimit = Descriptors.ConnectionLimit(Options);
                for (int i = 0; i < Options.WorkerCount; i++)
                {
                    workers.Add(new Worker(this, i));
                }

                _workers = [.. workers];
                _listener = new Listener(this, _workers, ConnectionLimit);
            }
            catch (Exception e)
            {
                workers.ForEach(static worker => worker.Dispose());
                _workers = [];
                if (e is EngineException failed)
                {
                    throw ServerStartException.For(failed);
                }

                throw;
            }

            _startedAt = Clock.Now;
            _state = ServerState.Running;
            Array.ForEach(_workers, static worker => worker.Start());
            _listener.Start();
            LogStart();
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
        if (_listener is { IsCurrent: true } || _workers.Any(static worker => worker.IsCurrent))
        {
            throw new InvalidOperationException("A server cannot be stopped from a handler: its thread would wait for itself.");
        }

        lock (_lifecycle)
        {
            if (_state == ServerState.Created)
            {
                _state = ServerState.Stopped;
            }

            if (_state == ServerState.Stopped || _listener is null)
            {
                return;
            }

            // First the acceptor, and to its end: after that, no descriptor is on its way to a worker.
            _listener.BeginStop();
            long deadline = Clock.Now + JoinMilliseconds;
            Join(_listener.Join, deadline, "the acceptor");
            foreach (Worker worker in _workers)
            {
                worker.Post(new Command(CommandKind.Stop, Number: reset ? 1 : 0));
            }

            foreach (Worker worker in _workers)
            {
                Join(worker.Join, deadline, $"worker {worker.Id}");
            }

            End();
            if (_state != ServerState.Faulted)
            {
                _state = ServerState.Stopped;
            }

            Log.ServerStopped(Options.Name, Accepted, BytesReceived, BytesSent);
        }
    }

    /// <summary>Stops it.</summary>
    public void Dispose() => Stop();

    /// <summary>A look at the workers.</summary>
    public IReadOnlyList<WorkerInfo> GetWorkers() => [.. _workers.Select(static worker => worker.ToInfo())];

    /// <summary>Begins a walk over the connections.</summary>
    public ConnectionWalk Walk(ConnectionFilter filter)
    {
        ArgumentNullException.ThrowIfNull(filter);
        return new ConnectionWalk(filter, _workers);
    }

    /// <summary>
    /// Begins to close a connection, or resets it, and tells what it was like just after. False: there is no such connection any
    /// more.
    /// </summary>
    /// <exception cref="TimeoutException">Its worker did not answer: a handler blocks it.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool TryClose(
        ConnectionRef target, bool reset, TimeSpan timeout, CancellationToken cancel, [NotNullWhen(true)] out ConnectionInfo? after)
    {
        after = null;
        if ((uint)target.Worker < (uint)_workers.Length)
        {
            after = Ask(_workers[target.Worker])?.Wait(timeout, cancel);
        }

        if (after is null)
        {
            // Nobody where it was last seen: ask all others at once.
            CloseRequest?[] requests = [.. _workers.Where(worker => worker.Id != target.Worker).Select(Ask)];
            foreach (CloseRequest? request in requests)
            {
                after ??= request?.Wait(timeout, cancel);
            }
        }

        return after is not null;

        CloseRequest? Ask(Worker worker)
        {
            var request = new CloseRequest(target, reset);
            return worker.Post(new Command(CommandKind.Close, Subject: request)) ? request : null;
        }
    }

    /// <summary>From a worker's thread.</summary>
    internal void OnHandlerError(Connection connection, Exception exception)
    {
        _lastError = exception.Message;
        Log.HandlerFailed(Options.Name, connection.Id, exception);
    }

    /// <summary>From a worker's thread.</summary>
    internal void OnHandlerFactoryError(Exception exception)
    {
        _lastError = exception.Message;
        Log.HandlerFactoryFailed(Options.Name, exception);
    }

    /// <summary>From a worker's thread.</summary>
    internal void OnAdoptError(int errno, long count)
    {
        _lastError = Errno.Describe(errno);
        Log.AdoptFailed(Options.Name, _lastError, count);
    }

    /// <summary>From a worker's thread, after the turn that was held up.</summary>
    internal void OnStall(int worker, long milliseconds) => Log.WorkerStalled(Options.Name, worker, milliseconds);

    /// <summary>
    /// From the engine thread that failed: the other ones are told to end, and each closes what it owns. Nothing is waited for here, as
    /// <see cref="Stop"/> may be waiting for this thread.
    /// </summary>
    internal void OnFault(string thread, Exception exception)
    {
        _lastError = exception.Message;
        _state = ServerState.Faulted;
        Log.ServerFaulted(Options.Name, thread, exception);
        End();
        _listener?.BeginStop();
        foreach (Worker worker in _workers)
        {
            worker.Post(new Command(CommandKind.Stop));
        }
    }

    private void End() => Interlocked.CompareExchange(ref _endedAt, Clock.Now, 0);

    private void Join(Func<TimeSpan, bool> join, long deadline, string thread)
    {
        if (!join(TimeSpan.FromMilliseconds(Math.Max(0, deadline - Clock.Now))))
        {
            _lastError = $"{thread} did not end: a handler blocks it";
            Log.ThreadAbandoned(Options.Name, thread, JoinMilliseconds);
        }
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

    private long Sum(Func<Counters, long> counter)
    {
        long sum = 0;
        foreach (Worker worker in _workers)
        {
            sum += counter(worker.Counters);
        }

        return sum;
    }
}
