using System.Diagnostics;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

/// <summary>
/// An epoll and the connections that one thread makes: the part that all kinds of load have in common. Only the load's thread touches it,
/// except for <see cref="Stop"/> and the fields that <see cref="Progress"/> reads. Times are nanoseconds of the monotonic clock.
/// <para>
/// A request costs one recv and one send. One epoll_wait serves all connections that are ready. Epoll is level-triggered, and OUT is wanted
/// while a connection has bytes left to send.
/// </para>
/// </summary>
internal abstract unsafe partial class LoadLoop : IDisposable
{
    /// <summary>A moment that never comes.</summary>
    protected const long Never = long.MaxValue;

    /// <summary>
    /// The most connects at a time. With more, a server with a short accept queue would let connects wait for seconds (pitfall 22).
    /// </summary>
    protected const int MaxPending = 512;

    /// <summary>Nanoseconds until the next try, when the kernel reports a full accept queue. It does so for Unix sockets.</summary>
    protected const long BusyPause = 1_000_000;

    private const int EventsPerTurn = 512;
    private const long NanosecondsPerMillisecond = 1_000_000;

    // Nanoseconds. A moment closer than this is not worth the system call that arms a timer, so the loop polls again at once.
    private const long TimerWorthwhile = 20_000;

    private const ulong WakeToken = ulong.MaxValue;

    private readonly Epoll _epoll;
    private readonly Descriptor _wake;
    private readonly Descriptor? _timer;
    private readonly KeyedPattern _pattern;
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(KeyedPattern.Chunk, pinned: true);
    private readonly byte* _scratch;
    private readonly long[] _moments;
    private readonly long _timeout;
    private readonly long _connectTimeout;
    private readonly long _lookInterval;
    private readonly long _standstill;
    private readonly int _size;
    private readonly int _pipeline;
    private long _nextLook;
    private long _armedFor = Never;
    private long _lastAnswer;
    private uint _lastKey;
    private volatile bool _stopped;
    private volatile int _phase;
    private long _phaseEnd = Never;

    /// <exception cref="LoadException">The process has too few descriptors.</exception>
    /// <exception cref="EngineException">Epoll or eventfd failed.</exception>
    protected LoadLoop(LoadOptions options)
    {
        Options = options;
        CheckDescriptors(options);
        Target = new LoadTarget(options);
        _pattern = new KeyedPattern(options.MessageSize);
        _scratch = (byte*)Unsafe.AsPointer(ref _buffer[0]);
        _size = options.MessageSize;
        _pipeline = options.Pipeline;
        _moments = new long[(long)options.Connections * options.Pipeline];
        _timeout = ToNanoseconds(options.Timeout);
        _connectTimeout = ToNanoseconds(options.ConnectTimeout);
        _lookInterval = Math.Clamp(Math.Min(_timeout, _connectTimeout) / 8, 5 * NanosecondsPerMillisecond, 250 * NanosecondsPerMillisecond);
        _standstill = Math.Max(2 * _lookInterval, Math.Min(_timeout, _connectTimeout) / 2);
        Connections = new LoadConnection[options.Connections];
        for (int i = 0; i < Connections.Length; i++)
        {
            Connections[i] = new LoadConnection(i);
        }

        _epoll = new Epoll(EventsPerTurn);
        try
        {
            _wake = EventFd.Open();
            Register(_wake);
            if (options.Rate > 0)
            {
                _timer = TimerFd.Open();
                Register(_timer);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>A snapshot of the progress. From any thread.</summary>
    internal LoadProgress Progress
    {
        get
        {
            long end = Volatile.Read(ref _phaseEnd);
            TimeSpan? left = end == Never ? null : ToTimeSpan(Math.Max(0, end - Stopwatch.GetTimestamp()));
            return new LoadProgress(
                (LoadPhase)_phase, Volatile.Read(ref Tally.Connected), Volatile.Read(ref Tally.Requests), Tally.Errors, left);
        }
    }

    protected LoadOptions Options { get; }

    protected LoadTarget Target { get; }

    protected LoadTally Tally { get; } = new();

    protected LoadConnection[] Connections { get; }

    /// <summary>The present time. The clock is read once a turn, and after each receive.</summary>
    protected long Now { get; private set; }

    protected int OpenCount { get; private set; }

    protected int PendingCount { get; private set; }

    /// <summary>How many requests do not have their whole answer yet, on all connections.</summary>
    protected long InFlight { get; private set; }

    protected bool IsStopped => _stopped;

    /// <summary>How long it took to make the connections.</summary>
    protected TimeSpan ConnectTime { get; private set; }

    /// <summary>When the load proper began, which is after connecting.</summary>
    protected long Begun { get; set; }

    /// <summary>When the first request was sent.</summary>
    protected long SendingBegun { get; set; }

    /// <summary>The latest moment at which the last request can have been sent.</summary>
    protected long SendingEnded { get; set; }

    /// <summary>How many requests were due and not sent.</summary>
    protected long Unsent { get; set; }

    internal static LoadLoop For(LoadOptions options) => options.Mode switch
    {
        LoadMode.Churn => new ChurnLoad(options),
        LoadMode.Idle => new IdleLoad(options),
        _ => new EchoLoad(options),
    };

    /// <summary>Runs the whole load, on the load's thread. Null when the load was stopped. No connection is left afterwards.</summary>
    /// <exception cref="LoadException">Not one connection could be made.</exception>
    internal LoadReport? Run()
    {
        try
        {
            Now = Stopwatch.GetTimestamp();
            _nextLook = Now + _lookInterval;
            Load();
            return _stopped ? null : Report();
        }
        finally
        {
            foreach (LoadConnection connection in Connections)
            {
                Release(connection, reset: false);
            }
        }
    }

    /// <summary>Ends the load at once, without a result. From any thread, until the loop is disposed of.</summary>
    internal void Stop()
    {
        _stopped = true;
        EventFd.Signal(_wake);
    }

    public void Dispose()
    {
        _timer?.Dispose();
        _wake?.Dispose();
        _epoll.Dispose();
    }

    protected abstract void Load();

    /// <summary>A connection has been made.</summary>
    protected virtual void OnConnected(LoadConnection connection)
    {
    }

    /// <summary><paramref name="count"/> requests of a connection have been answered.</summary>
    protected virtual void OnAnswered(LoadConnection connection, int count)
    {
    }

    /// <summary>A connection has failed. The failure is counted and the place is free.</summary>
    protected virtual void OnLost(LoadConnection connection)
    {
    }

    protected static long ToNanoseconds(TimeSpan time) => time.Ticks * 100;

    /// <summary>
    /// Reads the clock and checks for a standstill: no turn waits for that long, so such a gap means that this process was stopped or had no
    /// processor.
    /// </summary>
    protected void ReadClock()
    {
        long now = Stopwatch.GetTimestamp();
        if (now - Now > _standstill)
        {
            ForgiveStandstill(now);
        }

        Now = now;
    }

    /// <param name="phase">The phase that begins now.</param>
    /// <param name="end">The moment at which the phase ends by the clock.</param>
    protected void Enter(LoadPhase phase, long end)
    {
        _phase = (int)phase;
        Volatile.Write(ref _phaseEnd, end);
    }

    /// <summary>Waits for events until a given moment at most, and handles them.</summary>
    // A method of its own, because tiered compilation replaces a method at its next call, and the loops around this call are called only once.
    protected void Turn(long until)
    {
        int n = _epoll.Wait(_stopped ? 0 : Timeout(until));
        ReadClock();
        if (n < 0 && n != -Errno.EINTR)
        {
            throw new EngineException("epoll_wait", -n);
        }

        for (int i = 0; i < n; i++)
        {
            uint ready = _epoll.Event(i, out ulong data);
            if (data == WakeToken)
            {
                continue;
            }

            // An event for an earlier connection in this place, which was closed during this batch, is ignored (pitfall 1).
            LoadConnection connection = Connections[(int)(uint)data];
            if (connection.Generation == (uint)(data >> 32) && connection.State != LoadConnection.Condition.None)
            {
                Dispatch(connection, ready);
            }
        }

        if (Now >= _nextLook)
        {
            LookForTimeouts();
        }
    }

    private static TimeSpan ToTimeSpan(long nanoseconds) => TimeSpan.FromTicks(nanoseconds / 100);

    private static ulong Token(LoadConnection connection) => ((ulong)connection.Generation << 32) | (uint)connection.Index;

    /// <summary>The timeout for epoll_wait, in milliseconds. If the load has a rate, a timer ends the wait at the exact moment.</summary>
    private int Timeout(long until)
    {
        long gap = until - Now;
        long wait = Math.Min(until, _nextLook) - Now;
        if (wait <= 0)
        {
            return 0;
        }

        if (_timer is not null && gap < _lookInterval)
        {
            if (gap < TimerWorthwhile)
            {
                return 0;
            }

            if (_armedFor != until)
            {
                _armedFor = until;
                TimerFd.Arm(_timer.Fd, gap);
            }
        }

        return (int)((wait + NanosecondsPerMillisecond - 1) / NanosecondsPerMillisecond);
    }

    private void Dispatch(LoadConnection connection, uint ready)
    {
        if (connection.State == LoadConnection.Condition.Connecting)
        {
            FinishConnect(connection, ready);
            return;
        }

        if ((ready & Epoll.Out) != 0 && !Flush(connection))
        {
            return;
        }

        if ((ready & (Epoll.In | Epoll.Hup | Epoll.Err)) != 0)
        {
            Receive(connection);
        }
    }

    /// <summary>
    /// Checks all connections for timeouts, a few times within each timeout, because a timer for each request would cost more than the request.
    /// </summary>
    private void LookForTimeouts()
    {
        _nextLook = Now + _lookInterval;
        foreach (LoadConnection connection in Connections)
        {
            if (connection.State == LoadConnection.Condition.Connecting && Now - connection.LastProgress > _connectTimeout)
            {
                FailConnect(connection, Errno.ETIMEDOUT);
            }
            else if (connection.InFlight > 0 && Now - connection.LastProgress > _timeout)
            {
                Tally.TimedOut();
                Lose(connection);
            }
        }
    }

    // Answers that came meanwhile wait in the kernel (pitfall 64). So a server must not count as late for time in which this process did not
    // look.
    private void ForgiveStandstill(long now)
    {
        _nextLook = now + _lookInterval;
        foreach (LoadConnection connection in Connections)
        {
            connection.LastProgress = now;
        }
    }

    private LoadReport Report()
    {
        long end = Math.Max(SendingEnded, _lastAnswer);
        double seconds = Math.Max(1, end - SendingBegun) / 1e9;
        return new LoadReport
        {
            Connections = Tally.Connected,
            Requests = Tally.Requests,
            Unsent = Unsent,
            FailedConnects = Tally.FailedConnects,
            Resets = Tally.Resets,
            Closes = Tally.Closes,
            WrongBytes = Tally.WrongBytes,
            Timeouts = Tally.Timeouts,
            ErrorDetails = Tally.Describe(),
            ConnectTime = ConnectTime,
            Duration = ToTimeSpan(end - Begun),
            RequestsPerSecond = Tally.Requests / seconds,
            BytesPerSecond = Tally.Bytes / seconds,
            Latency = Tally.Latency,
        };
    }
}
