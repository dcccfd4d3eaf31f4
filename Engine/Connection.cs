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
public sealed class Connection : ITimed
{
    // A turn's budget for one connection; then the next one has its turn (pitfall 29). What is left shows again at the next wait,
    // as epoll is level-triggered.
    private const int ReceivesPerTurn = 4;
    private const int FlushBytesPerTurn = 256 * 1024;
    private const int CallbacksPerTurn = 64;

    private readonly ConnectionHandler _handler;
    private readonly ListeningSocket _acceptedBy;
    private readonly SockAddr _remote;
    private readonly long _started;
    private Worker _worker;
    private SendQueue? _output;
    private Requests? _requests;
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
    private enum Flags : ushort
    {
        None = 0,
        PausedByHandler = 1 << 0,
        PausedByBackpressure = 1 << 1,
        PausedByAdmin = 1 << 12,
        CountedByAddress = 1 << 13,
        Paused = PausedByHandler | PausedByBackpressure | PausedByAdmin,

        /// <summary>recv has returned 0.</summary>
        PeerEnded = 1 << 2,

        /// <summary>The handler is still to be told of it.</summary>
        TellPeerEnded = 1 << 3,
        TellDrained = 1 << 4,

        /// <summary>The handler has asked for bytes with requests: what comes waits for them.</summary>
        Pulled = 1 << 5,

        /// <summary>A read request has met the peer's end: a further one would, too.</summary>
        ReadsEnded = 1 << 11,

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
    public IPEndPoint RemoteEndPoint => _remote.ToEndPoint();

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

    /// <summary>Reading is paused, by the handler, by an administrator or by backpressure.</summary>
    public bool ReadPaused => (_flags & Flags.Paused) != 0;

    internal int Fd { get; }

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
            : _state == ConnectionState.Open && !ReadPaused && ((_flags & Flags.Pulled) == 0 || _requests!.HasReads);

    // Queued output has the write timeout instead: a slow reader is not idle.
    private bool IsIdleTimed => _state is ConnectionState.Open or ConnectionState.HalfClosed && SendQueue == 0;

    /// <summary>
    /// Asks for exactly <paramref name="count"/> bytes. The callback runs once, after this call has returned: with the bytes, or
    /// with the reason why they will not come. Requests are served in order. False when nothing more can come, as the
    /// connection is closing, closed or at its end: there is no request then, and no callback.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative, or over <see cref="ServerOptions.MaxMessage"/>.</exception>
    public bool Read(int count, ReadCallback callback)
    {
        CheckThread();
        ArgumentNullException.ThrowIfNull(callback);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _worker.Options.MaxMessage);
        if (!Pull())
        {
            return false;
        }

        _requests!.AddRead(count, callback);
        return true;
    }

    /// <summary>
    /// Asks for the bytes up to a delimiter, which is consumed and not part of the data. Where more than <paramref name="maximum"/>
    /// bytes come without it, the request ends and the connection closes with <see cref="CloseReason.MessageTooLong"/>.
    /// False as for <see cref="Read"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The delimiter is empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The maximum is negative, or over <see cref="ServerOptions.MaxMessage"/>.</exception>
    public bool ReadUntil(ReadOnlySpan<byte> delimiter, int maximum, ReadCallback callback)
    {
        CheckThread();
        ArgumentNullException.ThrowIfNull(callback);
        ArgumentOutOfRangeException.ThrowIfNegative(maximum);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maximum, _worker.Options.MaxMessage);
        if (delimiter.IsEmpty)
        {
            throw new ArgumentException("A delimiter has at least one byte.", nameof(delimiter));
        }

        if (!Pull())
        {
            return false;
        }

        _requests!.AddReadUntil(delimiter.ToArray(), maximum, callback);
        return true;
    }

    /// <summary>
    /// Sends, at once as far as the socket takes it; the rest is copied and queued. False when the connection is closing or
    /// closed: nothing is sent then.
    /// </summary>
    public bool Write(ReadOnlySpan<byte> data) => Write(data, null);

    /// <summary>
    /// As <see cref="Write(ReadOnlySpan{byte})"/>; the callback runs once, after this call has returned, unless that was false.
    /// </summary>
    public bool Write(ReadOnlySpan<byte> data, WriteCallback? callback)
    {
        CheckThread();
        if (_state is ConnectionState.Closing or ConnectionState.Closed)
        {
            return false;
        }

        int queued = _output?.Length ?? 0;
        long end = BytesSent + queued + data.Length;
        if (queued == 0 && !data.IsEmpty)
        {
            data = data[Send(data)..];
        }

        if (!data.IsEmpty && _state != ConnectionState.Closed)
        {
            Enqueue(data);
        }

        if (callback is not null)
        {
            (_requests ??= new Requests()).AddWrite(end, callback);
            MarkReady();
        }

        return true;
    }

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

    /// <summary>Runs callbacks that are due, within the budget. True when more are: then it stays in the ready list.</summary>
    internal bool RunCallbacks()
    {
        for (int i = 0; i < CallbacksPerTurn; i++)
        {
            try
            {
                if (!RunCallback())
                {
                    _flags &= ~Flags.InReadyList;
                    return false;
                }
            }
            catch (Exception e)
            {
                FailHandler(e);
            }
        }

        return true;
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
        else if (IsIdleTimed && now >= Clock.Add(_lastActivity, _worker.IdleTimeout))
        {
            BeginClose(CloseReason.IdleTimeout);
        }

        ScheduleDeadline();
    }

    /// <summary>Reading pauses whatever the handler wants.</summary>
    internal void PauseByAdmin() => Pause(Flags.PausedByAdmin);

    internal void ResumeByAdmin() => Resume(Flags.PausedByAdmin);

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
        _flags &= ~(Flags.InReadyList | Flags.InSyncList);
        byte[] output = _output?.TakeAll() ?? [];
        _output = null;
        _worker = newWorker;
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

        CloseReason reason = _state == ConnectionState.Closing ? _reason : CloseReason.ServerStopped;
        if (_state is not (ConnectionState.Closing or ConnectionState.Closed))
        {
            _reason = reason;
            _state = ConnectionState.Closing;
        }

        if (_state != ConnectionState.Closed && (_flags & Flags.PeerEnded) == 0)
        {
            Receive(Epoll.RdHup);
        }

        if (_state != ConnectionState.Closed)
        {
            Finish(reason);
        }
    }

    /// <summary>What a row shows; on the worker's thread, where the descriptor cannot be someone else's.</summary>
    internal ConnectionInfo ToInfo() => new()
    {
        Id = Id,
        Worker = _worker.Id,
        Slot = Slot,
        State = _state,
        CloseReason = _reason,
        RemoteEndPoint = RemoteEndPoint,
        LocalEndPoint = _acceptedBy.LocalEndPointOf(Fd),
        StartTime = Clock.ToWallClock(_started),
        Age = TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _started)),
        IdleTime = TimeSpan.FromMilliseconds(Math.Max(0, Clock.Now - _lastActivity)),
        BytesReceived = BytesReceived,
        BytesSent = BytesSent,
        MessagesReceived = MessagesReceived,
        SendQueue = SendQueue,
        ReadPaused = ReadPaused,
        Tag = Tag,
    };

    /// <summary>The last act before the descriptor is closed: buffers go back, and a reset is made sure of where one is due.</summary>
    internal void Release(AddressLimiter addresses)
    {
        Debug.Assert(_state == ConnectionState.Closed && (_flags & Flags.ClosedTold) != 0, "reaped before it was closed");
        _output?.Clear();
        _requests?.Discard();
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
        _flags &= ~why;
        MarkReady();
        MarkChanged();
    }

    private uint WantedInterest() =>
        (IsReading ? Epoll.In | Epoll.RdHup : 0) | (_output is { Length: > 0 } ? Epoll.Out : 0);

    /// <summary>From now on bytes wait for requests. False when none can come any more.</summary>
    private bool Pull()
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed || (_flags & Flags.ReadsEnded) != 0)
        {
            return false;
        }

        _flags |= Flags.Pulled;
        _requests ??= new Requests();
        MarkReady();
        MarkChanged();
        return true;
    }

    private unsafe void Receive(uint ready)
    {
        for (int turn = 0; turn < ReceivesPerTurn; turn++)
        {
            int n = (int)Libc.Recv(Fd, _worker.Scratch, Worker.ScratchSize, 0);
            if (n > 0)
            {
                BytesReceived += n;
                _worker.Counters.BytesReceived += n;
                _lastActivity = _worker.Now;
                Deliver(new ReadOnlySpan<byte>(_worker.Scratch, n));

                // Without a sign of an end, what may be left shows at the next wait: cheaper than a call that says EAGAIN.
                if ((ready & (Epoll.RdHup | Epoll.Hup | Epoll.Err)) == 0 || !IsReading)
                {
                    return;
                }
            }
            else if (n == 0)
            {
                // The end is this and nothing else: RDHUP comes while bytes are still to be read (pitfalls 9, 10).
                OnPeerEnd();
                return;
            }
            else
            {
                int errno = Errno.Last;
                if (errno == Errno.EAGAIN)
                {
                    return;
                }

                if (errno != Errno.EINTR)
                {
                    FailSocket(errno);
                    return;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Deliver(ReadOnlySpan<byte> data)
    {
        if (_state == ConnectionState.Closing)
        {
            return;
        }

        if ((_flags & Flags.Pulled) != 0)
        {
            _requests!.Keep(data);
            MarkReady();
            return;
        }

        MessagesReceived++;
        _worker.Counters.MessagesReceived++;
        try
        {
            _handler.OnReceived(this, data);
        }
        catch (Exception e)
        {
            FailHandler(e);
        }
    }

    private void OnPeerEnd()
    {
        _flags |= Flags.PeerEnded;
        MarkChanged();
        if (_state == ConnectionState.Closing)
        {
            if ((_flags & Flags.WriteShut) != 0)
            {
                Finish(_reason);
            }

            return;
        }

        _state = ConnectionState.HalfClosed;
        _flags |= Flags.TellPeerEnded;
        MarkReady();
    }

    /// <summary>Returns the bytes that the socket has taken.</summary>
    private unsafe int Send(ReadOnlySpan<byte> data)
    {
        while (true)
        {
            int n;
            fixed (byte* p = data)
            {
                n = (int)Libc.Send(Fd, p, (nuint)data.Length, Sockets.MsgNoSignal);
            }

            if (n >= 0)
            {
                BytesSent += n;
                _worker.Counters.BytesSent += n;
                _lastActivity = _worker.Now;
                return n;
            }

            int errno = Errno.Last;
            if (errno is Errno.EAGAIN or Errno.ENOBUFS)
            {
                return 0;
            }

            if (errno != Errno.EINTR)
            {
                FailSocket(errno);
                return 0;
            }
        }
    }

    private void Enqueue(ReadOnlySpan<byte> data)
    {
        _output ??= new SendQueue(_worker.Buffers);
        if ((long)_output.Length + data.Length > _worker.Options.MaxSendQueue)
        {
            Abort(CloseReason.SendQueueFull);
            return;
        }

        if (_output.Length == 0)
        {
            _lastProgress = _worker.Now;
            _unsentAtLastLook = 0;
            _worker.Timers.ScheduleEarlier(this, Clock.Add(_worker.Now, _worker.StallLookInterval));
        }

        _output.Append(data);
        if (_output.Length > _worker.HighWaterMark)
        {
            _flags |= Flags.PausedByBackpressure;
        }

        MarkChanged();
    }

    private void Flush()
    {
        SendQueue output = _output!;
        int budget = FlushBytesPerTurn;
        while (output.Length > 0 && budget > 0)
        {
            ReadOnlySpan<byte> head = output.Head;
            int n = Send(head);
            if (_state == ConnectionState.Closed)
            {
                return;
            }

            output.Advance(n);
            budget -= n;
            if (n > 0)
            {
                _lastProgress = _worker.Now;
            }

            if (n < head.Length)
            {
                break;
            }
        }

        if (_requests is not null)
        {
            MarkReady();
        }

        if ((_flags & Flags.PausedByBackpressure) != 0 && output.Length <= _worker.HighWaterMark / 2)
        {
            _flags = (_flags & ~Flags.PausedByBackpressure) | Flags.TellDrained;
            MarkReady();
        }

        MarkChanged();
        if (output.Length == 0 && _state == ConnectionState.Closing)
        {
            EndOutput();
        }
    }

    /// <summary>Closing, and all output is with the kernel: says so to the peer, and lingers for its end.</summary>
    private void EndOutput()
    {
        if ((_flags & Flags.PeerEnded) != 0)
        {
            Finish(_reason);
            return;
        }

        if (Libc.Shutdown(Fd, Sockets.ShutWrite) != 0)
        {
            // Not connected any more: what waits on the socket tells why, a reset that nobody has read yet for one.
            int errno = Errno.Last;
            FailSocket(errno == Errno.ENOTCONN ? Sockets.TakeError(Fd) : errno);
            return;
        }

        _flags |= Flags.WriteShut;
        _lastProgress = _worker.Now;
        _unsentAtLastLook = 0;
        _worker.Timers.ScheduleEarlier(this, Clock.Add(_worker.Now, _worker.LingerTimeout));
    }

    /// <summary>
    /// Whether the peer has taken nothing for the write timeout. What counts is what it acknowledges, not what the kernel takes
    /// off our hands: a slow reader makes progress long before the send buffer has room again.
    /// </summary>
    private bool IsPeerStalled(long now)
    {
        if (SendQueue == 0 && (_flags & Flags.WriteShut) == 0)
        {
            _unsentAtLastLook = 0;
            return false;
        }

        int unsent = Sockets.UnsentBytes(Fd);
        if (unsent != _unsentAtLastLook)
        {
            // Lingering counts from here when this was the last of it.
            _unsentAtLastLook = unsent;
            _lastProgress = now;
        }

        return (unsent > 0 || SendQueue > 0) && now >= Clock.Add(_lastProgress, _worker.WriteTimeout);
    }

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

        _worker.Timers.Schedule(this, deadline);
    }

    /// <summary>Runs the next callback that is due. Each request has left its queue before; the state is read again for each.</summary>
    private bool RunCallback()
    {
        if (_requests is not null && _requests.TryTakeWritten(BytesSent, out WriteCallback? written))
        {
            written!(this, CloseReason.None);
            return true;
        }

        if (_state == ConnectionState.Closed)
        {
            return RunClosedCallback();
        }

        if ((_flags & Flags.TellDrained) != 0 && _state != ConnectionState.Closing)
        {
            _flags &= ~Flags.TellDrained;
            _handler.OnDrained(this);
            return true;
        }

        if (_requests is { HasReads: true })
        {
            if (RunReadCallback())
            {
                return true;
            }

            if (ReadPaused)
            {
                return false;
            }
        }

        if ((_flags & Flags.TellPeerEnded) != 0 && _state == ConnectionState.HalfClosed)
        {
            _flags &= ~Flags.TellPeerEnded;
            _handler.OnPeerClosed(this);
            return true;
        }

        return false;
    }

    private bool RunReadCallback()
    {
        if (_state == ConnectionState.Closing)
        {
            return RunFailedRead(_reason);
        }

        if (ReadPaused)
        {
            return false;
        }

        switch (_requests!.TryTakeRead(out ReadCallback? callback, out ReadOnlySpan<byte> data))
        {
            case ReadOutcome.Served:
                MessagesReceived++;
                _worker.Counters.MessagesReceived++;
                MarkChanged();
                try
                {
                    callback!(this, data, CloseReason.None);
                }
                finally
                {
                    _requests.Release();
                }

                return true;

            case ReadOutcome.TooLong:
                BeginClose(CloseReason.MessageTooLong);
                return true;

            default:
                if ((_flags & Flags.PeerEnded) == 0)
                {
                    return false;
                }

                _flags |= Flags.ReadsEnded;
                return RunFailedRead(CloseReason.PeerClosed);
        }
    }

    private bool RunFailedRead(CloseReason reason)
    {
        if (_requests!.TryTakeRead(out ReadCallback? callback))
        {
            callback!(this, default, reason);
            return true;
        }

        return false;
    }

    private bool RunClosedCallback()
    {
        if (_requests is not null)
        {
            if (_requests.TryTakeRead(out ReadCallback? read))
            {
                read!(this, default, _reason);
                return true;
            }

            if (_requests.TryTakeWrite(out WriteCallback? write))
            {
                write!(this, _reason);
                return true;
            }
        }

        if ((_flags & Flags.ClosedTold) == 0)
        {
            _flags |= Flags.ClosedTold;
            try
            {
                _handler.OnClosed(this);
            }
            finally
            {
                _worker.AddToReap(this);
            }
        }

        return false;
    }

    /// <summary>A handler's exception closes its connection; what it had written is still sent (pitfall 31).</summary>
    private void FailHandler(Exception exception)
    {
        _worker.OnHandlerError(this, exception);
        BeginClose(CloseReason.HandlerError);
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
