using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// One TCP connection: its state machine and the requests that a handler makes of it. It lives on its worker's thread, and
/// every member that a handler sees must be called there, that is, from a callback; calls from elsewhere throw
/// <see cref="InvalidOperationException"/>. It knows its descriptor and never closes it: <c>Worker.Reap</c> does.
/// </summary>
public sealed partial class Connection : ITimed
{
    // A turn's budget for one connection; then the next one has its turn (pitfall 29). What is left shows again at the next wait,
    // as epoll is level-triggered.
    private const int ReceivesPerTurn = 4;
    private const int SendBytesPerTurn = 256 * 1024;
    private const int CallbacksPerTurn = 64;

    private readonly ConnectionHandler _handler;
    private readonly ListeningSocket _acceptedBy;
    private readonly SockAddr _remote;
    private readonly long _started;
    private Worker _worker;
    private SendQueue? _output;
    private Requests? _requests;
    private InputBuffer? _input;
    private long _lastActivity;

    // When the peer was last seen to take output; while lingering, when it was first seen to have taken all.
    private long _lastProgress;
    private int _unsentAtLastLook;
    private ConnectionState _state;
    private CloseReason _reason;
    private Flags _flags;

    internal Connection(
        Worker worker, long id, int fd, in SockAddr remote, ListeningSocket acceptedBy, ConnectionHandler handler, bool countedByAddress)
    {
        _worker = worker;
        Id = id;
        Fd = fd;
        _remote = remote;
        _acceptedBy = acceptedBy;
        _handler = handler;
        _started = _lastActivity = worker.Now;
        _flags = countedByAddress ? Flags.CountedByAddress : Flags.None;
    }

    [Flags]
    private enum Flags
    {
        None = 0,
        PausedByHandler = 1 << 0,
        PausedByBackpressure = 1 << 1,
        PausedByAdmin = 1 << 12,
        CountedByAddress = 1 << 13,
        PausedBySession = 1 << 15,
        Paused = PausedByHandler | PausedByBackpressure | PausedByAdmin | PausedBySession,

        /// <summary>recv has returned 0.</summary>
        PeerEnded = 1 << 2,

        /// <summary>The handler is still to be told of it.</summary>
        TellPeerEnded = 1 << 3,
        TellDrained = 1 << 4,

        /// <summary>The handler has asked for bytes with requests: what comes waits for them.</summary>
        Pulled = 1 << 5,

        /// <summary>A read request has met the peer's end: a further one would, too.</summary>
        ReadsEnded = 1 << 11,

        /// <summary>The buffered input may hold whole messages whose turn has not come: nothing is received before they are through.</summary>
        InputDue = 1 << 14,

        /// <summary>Detached from one worker, and not attached to the next yet.</summary>
        InTransit = 1 << 16,

        /// <summary>shutdown(SHUT_WR) is done.</summary>
        WriteShut = 1 << 6,
        ResetOnClose = 1 << 7,
        InReadyList = 1 << 8,
        InSyncList = 1 << 9,
        ClosedTold = 1 << 10,
    }

    /// <summary>Unique in the process, and never used again.</summary>
    public long Id { get; }

    /// <summary>Where the connection is in its life.</summary>
    public ConnectionState State => _state;

    /// <summary>Why closing has begun, or <see cref="CloseReason.None"/>.</summary>
    public CloseReason CloseReason => _reason;

    /// <summary>The peer's address. A new object at each call.</summary>
    public EndPoint RemoteEndPoint => _remote.ToEndPoint();

    /// <summary>A slot for the handler's own state.</summary>
    public object? Tag { get; set; }

    /// <summary>Bytes received, those included that closing discarded.</summary>
    public long BytesReceived { get; private set; }

    /// <summary>Bytes that the socket has taken.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Calls of OnReceived, or read requests served.</summary>
    public long MessagesReceived { get; private set; }

    /// <summary>Bytes written that the socket has not taken yet.</summary>
    public int SendQueue => _output?.Length ?? 0;

    /// <summary>Reading is paused: by the handler, by an administrator, by backpressure, or since handler threads have enough of it.</summary>
    public bool ReadPaused => (_flags & Flags.Paused) != 0;

    internal DateTimeOffset StartTime => Clock.ToWallClock(_started);

    internal int Fd { get; }

    /// <summary>Its owner. From any thread; it may change the moment after, see <see cref="IsInTransit"/>.</summary>
    internal Worker Worker => Volatile.Read(ref _worker);

    /// <summary>On its way to the worker that is its owner already.</summary>
    internal bool IsInTransit => (_flags & Flags.InTransit) != 0;

    internal int Slot { get; set; }

    internal uint Generation { get; set; }

    /// <summary>What epoll watches for at present.</summary>
    internal uint Interest { get; private set; }

    ITimed? ITimed.Next { get; set; }

    ITimed? ITimed.Previous { get; set; }

    long ITimed.Due { get; set; }

    private bool IsReading =>
        _state == ConnectionState.Closing
            ? (_flags & Flags.PeerEnded) == 0
            : _state == ConnectionState.Open
                && (_flags & (Flags.Paused | Flags.InputDue)) == 0
                && ((_flags & Flags.Pulled) == 0 || _requests!.HasReads);

    // The first message has to be complete by then, however busily its bytes trickle in.
    private long HandshakeDeadline =>
        _state == ConnectionState.Open && MessagesReceived == 0 && !ReadPaused ? Clock.Add(_started, _worker.HandshakeTimeout) : Clock.Never;

    // A message that has begun has to be complete by then: idleness alone does not catch who sends a byte now and then
    // (pitfall 28).
    private long MessageDeadline =>
        _state == ConnectionState.Open && _input is { Length: > 0 } && IsReading
            ? Clock.Add(_input.MessageBegan, _worker.MessageTimeout)
            : Clock.Never;

    // Queued output has the write timeout instead: a slow reader is not idle.
    private bool IsIdleTimed => _state is ConnectionState.Open or ConnectionState.HalfClosed && SendQueue == 0;

    /// <summary>
    /// Closes in order: what is queued is sent, then the end; then what the peer still sends is read and dropped until its end
    /// comes or the linger timeout is over, so that no answer is cut off by a reset (pitfall 16). Read requests end
    /// with the reason.
    /// </summary>
    public void Close()
    {
        CheckThread();
        BeginClose((_flags & Flags.PeerEnded) != 0 ? CloseReason.PeerClosed : CloseReason.HandlerClosed);
    }

    /// <summary>Closes at once with a reset. What is queued is dropped, and every request ends with the reason.</summary>
    public void Abort()
    {
        CheckThread();
        Abort(CloseReason.Aborted);
    }

    /// <summary>Receives nothing until <see cref="ResumeReading"/>: the peer's bytes wait in the kernel. A reset is still noticed.</summary>
    public void PauseReading()
    {
        CheckThread();
        Pause(Flags.PausedByHandler);
    }

    /// <summary>Receives again, unless an administrator or backpressure has paused it too.</summary>
    public void ResumeReading()
    {
        CheckThread();
        Resume(Flags.PausedByHandler);
    }

    /// <summary>After the registration with epoll.</summary>
    internal void Open()
    {
        _state = ConnectionState.Open;
        Interest = WantedInterest();
        ScheduleDeadline();
        try
        {
            _handler.OnOpen(this);
        }
        catch (Exception e)
        {
            FailHandler(e);
        }
    }

    /// <summary>What epoll says. Receives before it sends: data comes first, and answers to it go out with what was queued.</summary>
    internal void OnEvents(uint ready)
    {
        if (_state == ConnectionState.Closed)
        {
            // By a callback of another connection in this batch; it is reaped at the end of the turn.
            return;
        }

        if ((ready & ~Epoll.Out) != 0)
        {
            if (IsReading)
            {
                Receive(ready);
            }
            else if ((ready & (Epoll.Err | Epoll.Hup)) != 0)
            {
                // These two cannot be masked: a peer's reset while nothing is read must close, not spin (pitfall 12).
                FailSocket(Sockets.TakeError(Fd));
            }
        }

        if ((ready & Epoll.Out) != 0 && _state != ConnectionState.Closed && SendQueue > 0)
        {
            Flush();
        }
    }

    /// <summary>Asks epoll for what has really changed since the last turn.</summary>
    internal void SyncInterest(Epoll epoll)
    {
        _flags &= ~Flags.InSyncList;
        uint wanted = _state == ConnectionState.Closed ? Interest : WantedInterest();
        if (wanted == Interest)
        {
            return;
        }

        Interest = wanted;
        int errno = epoll.Modify(Fd, wanted, ConnectionTable.Token(this));
        if (errno != 0)
        {
            FailSocket(errno);
        }
    }

    /// <summary>The wheel asks: has a deadline passed, and when is the next?</summary>
    void ITimed.OnDeadline(long now)
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        if (IsPeerStalled(now))
        {
            Abort(CloseReason.WriteTimeout);
        }
        else if ((_flags & Flags.WriteShut) != 0)
        {
            if (_unsentAtLastLook == 0 && now >= Clock.Add(_lastProgress, _worker.LingerTimeout))
            {
                Finish(_reason);
            }
        }
        else if (now >= HandshakeDeadline)
        {
            BeginClose(CloseReason.HandshakeTimeout);
        }
        else if (now >= MessageDeadline)
        {
            BeginClose(CloseReason.MessageTimeout);
        }
        else if (IsIdleTimed && now >= Clock.Add(_lastActivity, _worker.IdleTimeout))
        {
            if (Tag is Session { Outstanding: > 0 })
            {
                // It waits for its handler, and that one has a timeout of its own.
                _lastActivity = now;
            }
            else
            {
                BeginClose(CloseReason.IdleTimeout);
            }
        }

        ScheduleDeadline();
    }

    /// <summary>Reading pauses whatever the handler wants.</summary>
    internal void PauseByAdmin() => Pause(Flags.PausedByAdmin);

    internal void ResumeByAdmin() => Resume(Flags.PausedByAdmin);

    /// <summary>Handler threads have as much of it as they may.</summary>
    internal void PauseBySession() => Pause(Flags.PausedBySession);

    /// <summary>The options have changed: what was reckoned with the old ones is reckoned again.</summary>
    internal void Reconfigure()
    {
        if (_state != ConnectionState.Closed)
        {
            ScheduleDeadline();
        }
    }

    /// <summary>
    /// Leaves its worker, which has taken it out of its lists; on that one's thread. Afterwards it is the new worker's, and
    /// nobody touches it before <see cref="Attach"/>.
    /// </summary>
    internal Migrant Detach(Worker newWorker)
    {
        Debug.Assert(_state != ConnectionState.Closed, "a closed connection stays to be reaped");
        _worker.Timers.Cancel(this);
        _flags = (_flags & ~(Flags.InReadyList | Flags.InSyncList)) | Flags.InTransit;
        byte[] output = _output?.TakeAll() ?? [];
        _output = null;

        // Last: who sees the new worker sees that it is on its way.
        Volatile.Write(ref _worker, newWorker);
        return new Migrant(this, output);
    }

    /// <summary>For a migrant whose new worker turns out to be over.</summary>
    internal void Assign(Worker worker) => _worker = worker;

    /// <summary>On the new worker's thread, which has given it a slot. 0, or the errno of the registration.</summary>
    internal int Attach(Epoll epoll, byte[] output)
    {
        if (output.Length > 0)
        {
            _output = new SendQueue(_worker.Buffers);
            _output.Append(output);
        }

        _flags &= ~Flags.InTransit;
        Interest = WantedInterest();
        int errno = epoll.Add(Fd, Interest, ConnectionTable.Token(this));
        ScheduleDeadline();
        MarkReady();
        return errno;
    }

    /// <summary>Begins the close that <see cref="Close"/> describes.</summary>
    internal void BeginClose(CloseReason reason)
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed)
        {
            return;
        }

        _reason = reason;
        _state = ConnectionState.Closing;
        MarkReady();
        MarkChanged();
        if (SendQueue == 0)
        {
            EndOutput();
        }
    }

    internal void Abort(CloseReason reason)
    {
        if (_state != ConnectionState.Closed)
        {
            _flags |= Flags.ResetOnClose;
            Finish(reason);
        }
    }

    /// <summary>
    /// The server stops: what the socket takes now is sent, what has arrived is read off so that the close is an end
    /// and no reset, and nothing is waited for.
    /// </summary>
    internal void Stop()
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        if (SendQueue > 0)
        {
            Flush();
        }

        if (_state is not (ConnectionState.Closing or ConnectionState.Closed))
        {
            // What is received from here on is dropped.
            _reason = CloseReason.ServerStopped;
            _state = ConnectionState.Closing;
        }

        if (_state == ConnectionState.Closing && (_flags & Flags.PeerEnded) == 0)
        {
            Receive(Epoll.RdHup);
        }

        if (_state == ConnectionState.Closing)
        {
            Finish(_reason);
        }
    }

    /// <summary>What a row shows; on the worker's thread, where the descriptor cannot be someone else's.</summary>
    internal ConnectionInfo ToInfo(bool tcp = false) => new()
    {
        Id = Id,
        Worker = _worker.Id,
        Slot = Slot,
        State = _state,
        CloseReason = _reason,
        RemoteEndPoint = RemoteEndPoint,
        LocalEndPoint = _acceptedBy.LocalEndPointOf(Fd),
        StartTime = StartTime,
        Age = TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _started)),
        IdleTime = TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _lastActivity)),
        BytesReceived = BytesReceived,
        BytesSent = BytesSent,
        MessagesReceived = MessagesReceived,
        SendQueue = SendQueue,
        ReadPaused = ReadPaused,
        Tag = Tag is Session session ? session.Tag : Tag,
        Tcp = tcp ? TcpInfo.Read(Fd) : null,
    };

    /// <summary>What is kept of it when it is over.</summary>
    internal ClosedRing.Record ToRecord() => new(
        Id, _worker.Id, _reason, _remote, _acceptedBy.EndPoint, _started, _worker.Now, _lastActivity, BytesReceived, BytesSent, MessagesReceived);

    /// <summary>The last act before the descriptor is closed: buffers go back, and a reset is made sure of where one is due.</summary>
    internal void Release(AddressLimiter addresses)
    {
        Debug.Assert(_state == ConnectionState.Closed && (_flags & Flags.ClosedTold) != 0, "reaped before it was closed");
        _output?.Clear();
        _input?.Discard();
        if ((_flags & Flags.CountedByAddress) != 0)
        {
            addresses.Release(_remote);
        }

        if ((_flags & Flags.ResetOnClose) != 0)
        {
            Sockets.ResetOnClose(Fd);
        }
    }

    private void Pause(Flags why)
    {
        _flags |= why;
        MarkChanged();
    }

    private void Resume(Flags why)
    {
        bool paused = ReadPaused;
        _flags &= ~why;
        if (paused && !ReadPaused)
        {
            ReturnToInput();
        }

        MarkReady();
        MarkChanged();
    }

    private uint WantedInterest() =>
        (IsReading ? Epoll.In | Epoll.RdHup : 0) | (_output is { Length: > 0 } ? Epoll.Out : 0);

    private void ScheduleDeadline()
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        long deadline = Clock.Never;
        if (SendQueue > 0 || _unsentAtLastLook > 0)
        {
            deadline = Clock.Add(_worker.Now, _worker.StallLookInterval);
        }

        if ((_flags & Flags.WriteShut) != 0)
        {
            // While the kernel still holds output, look now and then whether the peer has taken it.
            deadline = Math.Min(deadline, Clock.Add(_unsentAtLastLook == 0 ? _lastProgress : _worker.Now, _worker.LingerTimeout));
        }
        else if (IsIdleTimed)
        {
            deadline = Math.Min(deadline, Clock.Add(_lastActivity, _worker.IdleTimeout));
        }

        deadline = Math.Min(deadline, Math.Min(HandshakeDeadline, MessageDeadline));

        _worker.Timers.Schedule(this, deadline);
    }

    internal void FailSocket(int errno)
    {
        // EPIPE is a reset whose RST was consumed earlier (pitfall 13); no error at all with HUP likewise.
        bool reset = errno is Errno.ECONNRESET or Errno.EPIPE or 0;
        Finish(reset ? CloseReason.Reset : CloseReason.NetworkError);
    }

    private void Finish(CloseReason reason)
    {
        Debug.Assert(_state != ConnectionState.Closed, "closed twice");
        _reason = reason;
        _state = ConnectionState.Closed;
        _worker.Timers.Cancel(this);
        MarkReady();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MarkReady()
    {
        if ((_flags & Flags.InReadyList) == 0)
        {
            _flags |= Flags.InReadyList;
            _worker.AddToReady(this);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MarkChanged()
    {
        if ((_flags & Flags.InSyncList) == 0)
        {
            _flags |= Flags.InSyncList;
            _worker.AddToSync(this);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CheckThread() => _worker.CheckThread();
}
