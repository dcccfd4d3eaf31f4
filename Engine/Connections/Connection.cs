using System.Net;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// One TCP connection: its state machine and the requests that its handler makes. It lives on its worker's thread. Every member that a
/// handler sees must be called on that thread, that is, from a callback; calls from other threads throw
/// <see cref="InvalidOperationException"/>. The connection knows its descriptor and never closes it: <c>Worker.Reap</c> does.
/// </summary>
public sealed partial class Connection : ITimed
{
    // The budget of one connection in one turn; after it, the next connection has its turn (pitfall 29). The next wait reports what is
    // left, because epoll is level-triggered.
    private const int ReceivesPerTurn = 4;
    private const int SendBytesPerTurn = 256 * 1024;
    private const int CallbacksPerTurn = 64;

    // An interest that epoll is never asked for. It means that the descriptor is not in the epoll set.
    private const uint Unregistered = 0x8000;

    private readonly ConnectionHandler _handler;
    private readonly ListeningSocket _acceptedBy;
    private readonly SockAddr _remote;
    private Worker _worker;
    private PendingIo? _pendingIo;
    private Moments _moments;
    private Flags _flags;

    // These three fields take four bytes together, because there may be ten thousand connections. The events that epoll is asked for fit
    // into 16 bits.
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

        /// <summary>
        /// Nothing is received, because unfinished input takes too much memory. Messages in the input that was received before are still
        /// handled.
        /// </summary>
        PausedByBudget = 1 << 19,

        /// <summary>The connection is in the worker's list of connections whose descriptors are to be closed.</summary>
        InReapList = 1 << 20,
        Paused = PausedByHandler | PausedByBackpressure | PausedByAdmin | PausedBySession,

        /// <summary>recv has returned 0.</summary>
        PeerEnded = 1 << 2,

        /// <summary>The handler has not been told of the peer's end yet.</summary>
        TellPeerEnded = 1 << 3,
        TellDrained = 1 << 4,

        /// <summary>The handler has asked for bytes with read requests. Received bytes wait for these requests.</summary>
        Pulled = 1 << 5,

        /// <summary>A read request has failed because the peer has ended. A further read request would fail, too.</summary>
        ReadsEnded = 1 << 11,

        /// <summary>
        /// The buffered input may contain complete messages that have not been handled. Nothing is received before they have been.
        /// </summary>
        InputDue = 1 << 14,

        /// <summary>The connection is detached from one worker and not attached to the next one yet.</summary>
        InTransit = 1 << 16,

        /// <summary>shutdown(SHUT_WR) is done.</summary>
        WriteShut = 1 << 6,
        ResetOnClose = 1 << 7,
        InReadyList = 1 << 8,
        InSyncList = 1 << 9,
        ClosedTold = 1 << 10,

        /// <summary>The peer of a Unix socket has closed it while the connection was not reading. The peer's bytes may still wait.</summary>
        HungUp = 1 << 17,

        /// <summary>The peer of a Unix socket has closed it without having read everything that was sent to it.</summary>
        PeerReset = 1 << 18,
    }

    /// <summary>The connection's number, which is unique in the process and never used again.</summary>
    public long Id { get; }

    /// <summary>The connection's current state.</summary>
    public ConnectionState State => _state;

    /// <summary>The reason why closing has begun, or <see cref="CloseReason.None"/>.</summary>
    public CloseReason CloseReason => _reason;

    /// <summary>The peer's address. A new object at each call.</summary>
    public EndPoint RemoteEndPoint => _remote.ToEndPoint();

    /// <summary>A slot for the handler's own state.</summary>
    public object? Tag { get; set; }

    /// <summary>Bytes received, including the bytes that closing discarded.</summary>
    public long BytesReceived { get; private set; }

    /// <summary>Bytes that the socket has taken.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Calls of OnReceived and read requests served.</summary>
    public long MessagesReceived { get; private set; }

    /// <summary>Bytes written that the socket has not taken yet.</summary>
    public int SendQueue => Output?.Length ?? 0;

    /// <summary>
    /// Whether reading is paused: by the handler, by an administrator, by backpressure, because the handler threads have enough input of
    /// this connection, or because unfinished messages of the worker's connections take too much memory.
    /// </summary>
    public bool ReadPaused => (_flags & (Flags.Paused | Flags.PausedByBudget)) != 0;

    /// <summary>The time since a worker took the connection over.</summary>
    internal TimeSpan Age => TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _moments.Started));

    /// <summary>The time since bytes were last received or sent.</summary>
    internal TimeSpan IdleTime => TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _moments.LastActivity));

    internal DateTimeOffset StartTime => DateTimeOffset.FromUnixTimeMilliseconds(_moments.StartedOn);

    internal int Fd { get; }

    /// <summary>
    /// The worker that owns the connection. May be read from any thread. The owner may change a moment later, see
    /// <see cref="IsInTransit"/>.
    /// </summary>
    internal Worker Worker => Volatile.Read(ref _worker);

    /// <summary>Whether the connection is on its way to a worker, which already owns it.</summary>
    internal bool IsInTransit => (_flags & Flags.InTransit) != 0;

    internal int Slot { get; set; }

    internal uint Generation { get; set; }

    /// <summary>
    /// Whether the descriptor is in the worker's epoll set. It is not in the set while the peer has hung up and the connection does not
    /// read.
    /// </summary>
    internal bool IsRegistered => Interest != Unregistered;

    /// <summary>The events that epoll watches for at present.</summary>
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

    /// <summary>
    /// Receives nothing until <see cref="ResumeReading"/> is called. The peer's bytes wait in the kernel. A reset is still noticed.
    /// </summary>
    public void PauseReading()
    {
        CheckThread();
        Pause(Flags.PausedByHandler);
    }

    /// <summary>Receives again, unless reading is paused for another reason, too: see <see cref="ReadPaused"/>.</summary>
    public void ResumeReading()
    {
        CheckThread();
        Resume(Flags.PausedByHandler);
    }

    /// <summary>Called after the registration with epoll.</summary>
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

    /// <summary>
    /// Handles what epoll reports. Receives before it sends, so that answers to the received data go out together with what was queued.
    /// </summary>
    internal void OnEvents(uint ready)
    {
        if (_state == ConnectionState.Closed)
        {
            // A callback of another connection in this batch has closed this one. It is reaped at the end of the turn.
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

    /// <summary>Changes the registration with epoll if the interest has really changed since the last turn.</summary>
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

    /// <summary>Pauses reading, whatever the handler wants.</summary>
    internal void PauseByAdmin() => Pause(Flags.PausedByAdmin);

    internal void ResumeByAdmin() => Resume(Flags.PausedByAdmin);

    /// <summary>Pauses reading, because the handler threads have as much input of this connection as they may.</summary>
    internal void PauseBySession() => Pause(Flags.PausedBySession);

    /// <summary>
    /// The row that shows the connection. It is made on the worker's thread, because the descriptor cannot belong to someone else there.
    /// </summary>
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

    /// <summary>The record that is kept of the connection after its end.</summary>
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

        // HUP cannot be masked, so a registered descriptor would report the hang-up in every turn.
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

    /// <summary>Called when the ready list could not grow, so that the connection could not stay in it.</summary>
    internal void LeaveReadyList() => _flags &= ~Flags.InReadyList;

    /// <summary>
    /// Called after a failed allocation, because a list that could not grow may have lost what was due. Everything is checked again. The
    /// check does no harm if nothing was due.
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
