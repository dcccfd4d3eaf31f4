using System.Diagnostics;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

/// <summary>
/// A thread's epoll and the connections that it makes: what all kinds of load have in common. All of it is touched on the load's thread
/// alone, but for <see cref="Stop"/> and what is read for progress. Times are nanoseconds of the monotonic clock.
/// <para>
/// A request costs a recv and a send; waiting is shared by all that are ready. Epoll is level-triggered, and asks for OUT while
/// something is left to send.
/// </para>
/// </summary>
internal abstract unsafe partial class LoadLoop : IDisposable
{
    /// <summary>A moment that never comes.</summary>
    protected const long Never = long.MaxValue;

    /// <summary>Connects at a time: more than this and a server with a short accept queue would let them wait for seconds (pitfall 22).</summary>
    protected const int MaxPending = 512;

    /// <summary>Until the next try where an accept queue is full and says so, as those of Unix sockets do.</summary>
    protected const long BusyPause = 1_000_000;

    private const int EventsPerTurn = 512;
    private const long NanosecondsPerMillisecond = 1_000_000;

    // Closer than this a timer is not worth its call: the loop looks again at once.
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

    /// <summary>A look from any thread.</summary>
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

    /// <summary>Read once a turn, and after each receive.</summary>
    protected long Now { get; private set; }

    protected int OpenCount { get; private set; }

    protected int PendingCount { get; private set; }

    /// <summary>Requests without their whole answer, on all connections.</summary>
    protected long InFlight { get; private set; }

    protected bool IsStopped => _stopped;

    /// <summary>When the connections were made.</summary>
    protected TimeSpan ConnectTime { get; private set; }

    /// <summary>When the load proper began; connecting comes before.</summary>
    protected long Begun { get; set; }

    /// <summary>When the first request was sent.</summary>
    protected long SendingBegun { get; set; }

    /// <summary>When the last one was, at most.</summary>
    protected long SendingEnded { get; set; }

    /// <summary>Requests that were due and not sent.</summary>
    protected long Unsent { get; set; }

    internal static LoadLoop For(LoadOptions options) => options.Mode switch
    {
        LoadMode.Churn => new ChurnLoad(options),
        LoadMode.Idle => new IdleLoad(options),
        _ => new EchoLoad(options),
    };

    /// <summary>All of it, on the load's thread. Null when it was stopped. No connection is left.</summary>
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

    /// <summary>From any thread, until it is disposed of: ends the load at once, without a result.</summary>
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

    /// <summary>A connection is made.</summary>
    protected virtual void OnConnected(LoadConnection connection)
    {
    }

    /// <summary>So many of its requests have been answered.</summary>
    protected virtual void OnAnswered(LoadConnection connection, int count)
    {
    }

    /// <summary>It failed, is counted and released.</summary>
    protected virtual void OnLost(LoadConnection connection)
    {
    }

    protected static long ToNanoseconds(TimeSpan time) => time.Ticks * 100;

    /// <summary>No turn waits for as long as a standstill is: this process was stopped, or had no processor.</summary>
    protected void ReadClock()
    {
        long now = Stopwatch.GetTimestamp();
        if (now - Now > _standstill)
        {
            ForgiveStandstill(now);
        }

        Now = now;
    }

    /// <param name="phase">What comes now.</param>
    /// <param name="end">When it is over by the clock.</param>
    protected void Enter(LoadPhase phase, long end)
    {
        _phase = (int)phase;
        Volatile.Write(ref _phaseEnd, end);
    }

    /// <summary>Waits for events, until a moment at most, and sees to them.</summary>
    // A method of its own: tiered compilation replaces a method at its next call, and the loops around it are called once.
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

            // An event for an earlier connection in this place, which this batch has closed, finds nobody (pitfall 1).
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

    /// <summary>Milliseconds for epoll_wait. Where there is a rate a timer wakes it up in between.</summary>
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

    /// <summary>Looks at all, a few times in each timeout: a timer for each request would cost more than the request.</summary>
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

    // Answers that came meanwhile wait in the kernel (pitfall 64): nobody is late for time in which this process did not look.
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
