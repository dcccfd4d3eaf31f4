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

    // An interest that epoll is never asked for: the descriptor is not in its set.
    private const uint Unregistered = 0x8000;

    private readonly ConnectionHandler _handler;
    private readonly ListeningSocket _acceptedBy;
    private readonly SockAddr _remote;
    private Worker _worker;
    private PendingIo? _pendingIo;
    private Moments _moments;
    private Flags _flags;

    // These three take four bytes together, because there may be ten thousand connections. The events that epoll is asked for fit into 16 bits.
    private ushort _interest;
    private ConnectionState _state;
    private CloseReason _reason;

    internal Connection(
        Worker worker, long id, int fd, in SockAddr remote, ListeningSocket acceptedBy, ConnectionHandler handler, bool countedByAddress)
    {
        _worker = worker;
        Id = id;
        Fd = fd;
        _remote = remote;
        _acceptedBy = acceptedBy;
        _handler = handler;
        _moments = new Moments(worker.Now, Clock.WallClock);
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

        /// <summary>Nothing is received, because unfinished input takes too much memory. What is there of messages is still handled.</summary>
        PausedByBudget = 1 << 19,

        /// <summary>In the worker's list of connections whose descriptors are to be closed.</summary>
        InReapList = 1 << 20,
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

        /// <summary>The peer of a Unix socket has closed it, while nothing was read. Its bytes may still wait.</summary>
        HungUp = 1 << 17,

        /// <summary>The peer of a Unix socket has closed it without having read all that was sent to it.</summary>
        PeerReset = 1 << 18,
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
    public int SendQueue => Output?.Length ?? 0;

    /// <summary>
    /// Reading is paused: by the handler, by an administrator, by backpressure, because handler threads have enough of it, or because unfinished
    /// messages of the worker's connections take too much memory.
    /// </summary>
    public bool ReadPaused => (_flags & (Flags.Paused | Flags.PausedByBudget)) != 0;

    /// <summary>Time since a worker took it over.</summary>
    internal TimeSpan Age => TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _moments.Started));

    /// <summary>Time since bytes were last received or sent.</summary>
    internal TimeSpan IdleTime => TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _moments.LastActivity));

    internal DateTimeOffset StartTime => DateTimeOffset.FromUnixTimeMilliseconds(_moments.StartedOn);

    internal int Fd { get; }

    /// <summary>Its owner. From any thread; it may change the moment after, see <see cref="IsInTransit"/>.</summary>
    internal Worker Worker => Volatile.Read(ref _worker);

    /// <summary>On its way to the worker that is its owner already.</summary>
    internal bool IsInTransit => (_flags & Flags.InTransit) != 0;

    internal int Slot { get; set; }

    internal uint Generation { get; set; }

    /// <summary>Whether the descriptor is in the epoll set of its worker. It is not while a peer that has hung up is not read.</summary>
    internal bool IsRegistered => Interest != Unregistered;

    /// <summary>What epoll watches for at present.</summary>
    internal uint Interest
    {
        get => _interest;
        private set => _interest = (ushort)value;
    }

    private bool IsPaused => (_flags & Flags.Paused) != 0;

    private SendQueue? Output => _pendingIo?.Output;

    private InputBuffer? Input => _pendingIo?.Input;

    private RequestQueue? Requests => _pendingIo?.Requests;


    private bool IsReading =>
        _state == ConnectionState.Closing
            ? (_flags & Flags.PeerEnded) == 0
            : _state == ConnectionState.Open
                && (_flags & (Flags.Paused | Flags.InputDue | Flags.PausedByBudget)) == 0
                && ((_flags & Flags.Pulled) == 0 || Requests!.HasReads);

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
                OnHangUp();
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

        ulong token = ConnectionTable.Token(this);
        int errno = wanted == Unregistered ? epoll.Delete(Fd)
            : Interest == Unregistered ? epoll.Add(Fd, wanted, token)
            : epoll.Modify(Fd, wanted, token);
        if (errno == 0)
        {
            Interest = wanted;
        }
        else
        {
            FailSocket(errno);
        }
    }

    /// <summary>Reading pauses whatever the handler wants.</summary>
    internal void PauseByAdmin() => Pause(Flags.PausedByAdmin);

    internal void ResumeByAdmin() => Resume(Flags.PausedByAdmin);

    /// <summary>Handler threads have as much of it as they may.</summary>
    internal void PauseBySession() => Pause(Flags.PausedBySession);

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
        EndTime = _state == ConnectionState.Closed ? DateTimeOffset.UtcNow : null,
        Age = Age,
        IdleTime = IdleTime,
        BytesReceived = BytesReceived,
        BytesSent = BytesSent,
        MessagesReceived = MessagesReceived,
        SendQueue = SendQueue,
        ReadPaused = ReadPaused,
        Tag = Tag is Session session ? session.Tag : Tag,
        Tcp = tcp ? TcpDetails.Read(Fd) : null,
    };

    /// <summary>What is kept of it when it is over.</summary>
    internal ClosedRing.Record ToRecord() => new(
        Id, _worker.Id, _reason, _remote, _acceptedBy.EndPoint, _moments, _worker.Now, Clock.WallClock, BytesReceived, BytesSent, MessagesReceived,
        KeptTag.Of(Tag));

    private void Pause(Flags why)
    {
        _flags |= why;
        MarkChanged();
    }

    private void Resume(Flags why)
    {
        bool paused = IsPaused;
        _flags &= ~why;
        if (paused && !IsPaused)
        {
            ReturnToInput();
        }

        MarkReady();
        MarkChanged();
    }

    private uint WantedInterest()
    {
        uint wanted = (IsReading ? Epoll.In | Epoll.RdHup : 0) | (Output is { Length: > 0 } ? Epoll.Out : 0);

        // The hang-up would be reported in every turn, because HUP cannot be masked.
        return wanted == 0 && (_flags & Flags.HungUp) != 0 ? Unregistered : wanted;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MarkReady()
    {
        if ((_flags & Flags.InReadyList) == 0 && _worker.AddToReady(this))
        {
            _flags |= Flags.InReadyList;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void MarkChanged()
    {
        if ((_flags & Flags.InSyncList) == 0 && _worker.AddToSync(this))
        {
            _flags |= Flags.InSyncList;
        }
    }

    /// <summary>It could not stay in the ready list, which could not grow.</summary>
    internal void LeaveReadyList() => _flags &= ~Flags.InReadyList;

    /// <summary>
    /// After a failed allocation: what was due may have been lost with a list that could not grow. Looks at everything again, which does no harm
    /// where nothing was due.
    /// </summary>
    internal void MarkAgain()
    {
        if ((_flags & Flags.InReapList) == 0)
        {
            MarkReady();
            MarkChanged();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CheckThread() => _worker.CheckThread();
}
