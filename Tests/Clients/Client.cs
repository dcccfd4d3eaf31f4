using System.Diagnostics;
using System.Runtime.InteropServices;

namespace C10kServer.Clients;

/// <summary>
/// One connection: connects, sends its keyed stream as far as it is told to, verifies what comes back, and ends in exactly
/// one <see cref="Outcome"/>. What it does beside that is its kind's: the hooks are called on the loop's thread, and may call
/// anything here but <see cref="Open"/>.
/// </summary>
internal abstract class Client
{
    // A loud connection lets the others have their turn; epoll reports it again.
    private const int ReceivesPerTurn = 4;

    // The kernel doubles it, for its own book-keeping. The segment is Ethernet's.
    private const int NarrowBuffer = 8192;
    private const int NarrowSegment = 1460;

    private readonly Fleet _fleet;
    private int _fd = -1;
    private uint _interest;
    private long _goal;
    private long _connectStarted;
    private bool _connected;
    private bool _finishing;
    private bool _finished;
    private bool _closing;
    private bool _reading = true;
    private int _broken;

    protected Client(Fleet fleet, int number)
    {
        _fleet = fleet;
        Number = number;
    }

    /// <summary>The number that keys the payload, from 0.</summary>
    public int Number { get; }

    /// <summary>The loop's place for it.</summary>
    public int Slot { get; set; }

    /// <summary>Bytes that the kernel has accepted.</summary>
    public long Sent { get; private set; }

    public long Received { get; private set; }

    /// <summary>How many bytes of the stream are to be sent in all.</summary>
    public long Goal => _goal;

    public Outcome Outcome { get; private set; }

    /// <summary>The connection's own line of the ledger, beside its counts: whether every byte was right.</summary>
    public bool HasWrongBytes { get; private set; }

    /// <summary>While it did not read, the server's FIN came in.</summary>
    public bool HasNoticedEnd { get; private set; }

    /// <summary>Connected, and not at its end.</summary>
    public bool IsOpen => _connected && Outcome == Outcome.None;

    /// <summary>Open, and has not begun to finish: it can still send.</summary>
    public bool CanSend => IsOpen && !_finishing && _broken == 0;

    /// <summary>Whether it did what its kind is for; asked once it has ended, or when the time is over.</summary>
    public virtual bool Behaved => !HasWrongBytes && Outcome is not (Outcome.Failed or Outcome.Reset);

    protected Fleet Fleet => _fleet;

    /// <summary>
    /// Whether its buffers and segments are small, as a distant peer's may be. Over loopback's 64 KB segments the two kernels
    /// would hold megabytes for a peer that does not read, and the server would notice nothing.
    /// </summary>
    protected virtual bool IsNarrow => false;

    /// <summary>Whether the server's FIN is to be noticed while it does not read.</summary>
    protected virtual bool NoticesEnd => true;

    /// <summary>The most bytes that one receive takes.</summary>
    protected virtual int ReceiveSize => Payload.Period;

    /// <summary>Whether what comes is compared with the stream.</summary>
    protected virtual bool Verifies => !_fleet.Unverified;

    /// <summary>Begins to connect.</summary>
    public void Open()
    {
        Target target = _fleet.Target;
        _connectStarted = Stopwatch.GetTimestamp();
        _fd = Libc.Socket(target.Family, Libc.Stream | Libc.NonBlocking | Libc.CloseOnExec, 0);
        if (_fd < 0)
        {
            Fail(Marshal.GetLastPInvokeError());
            return;
        }

        Libc.SetInt(_fd, Libc.LevelTcp, Libc.NoDelay, 1);
        if (IsNarrow)
        {
            Libc.SetInt(_fd, Libc.LevelSocket, Libc.SoReceiveBuffer, NarrowBuffer);
            Libc.SetInt(_fd, Libc.LevelSocket, Libc.SoSendBuffer, NarrowBuffer);
            Libc.SetInt(_fd, Libc.LevelTcp, Libc.MaximumSegment, NarrowSegment);
        }

        int error = target.Connect(_fd, Number);
        if (error is not (0 or Libc.InProgress))
        {
            // Nothing is registered yet, and so there is no slot to release.
            _ = Libc.Close(_fd);
            _fd = -1;
            Fail(error);
            return;
        }

        _interest = Libc.Out;
        if (!_fleet.Loop.Add(this, _fd, _interest))
        {
            End(Outcome.Failed, Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>The loop's report on the descriptor.</summary>
    public void OnEvents(uint events)
    {
        if (!_connected)
        {
            FinishConnect();
            return;
        }

        if (!_reading)
        {
            // Nobody reads, so that nobody would see a reset.
            if ((events & (Libc.Error | Libc.HangUp)) != 0)
            {
                int error = TakeError();
                End(error == 0 ? Outcome.Ended : Outcome.Reset, error);
                return;
            }

            if ((events & Libc.ReadHangUp) != 0 && !HasNoticedEnd)
            {
                HasNoticedEnd = true;
                _fleet.OnEndNoticed();
            }
        }

        if ((events & Libc.Out) != 0)
        {
            Flush();
        }

        if (_reading && IsOpen && (events & (Libc.In | Libc.Error | Libc.HangUp)) != 0)
        {
            Receive();
        }

        Sync();
    }

    /// <summary>Sends so many more bytes of the stream, as the socket takes them.</summary>
    public void Send(long bytes)
    {
        _goal += bytes;
        Flush();
        Sync();
    }

    /// <summary>Shuts down the sending side once everything is sent.</summary>
    public void FinishSending()
    {
        if (IsOpen)
        {
            _finishing = true;
            Flush();
            Sync();
        }
    }

    /// <summary>Closes gracefully: sends what is left, shuts down, and reads until the server's FIN.</summary>
    public void Close()
    {
        if (IsOpen)
        {
            _closing = true;
            ReadOn();
            FinishSending();
        }
    }

    /// <summary>Closes at once, without waiting for the server. Unread input makes the kernel send a reset instead of a FIN.</summary>
    public void Drop() => End(Outcome.Closed, 0);

    /// <summary>Closes with a reset.</summary>
    public void Abort()
    {
        if (IsOpen)
        {
            // struct linger: on, and for no time at all.
            Span<int> linger = [1, 0];
            _ = Libc.SetOption(_fd, Libc.LevelSocket, Libc.SoLinger, ref linger[0], 2 * sizeof(int));
            End(Outcome.Aborted, 0);
        }
    }

    /// <summary>Stops reading. A reset ends it all the same; the server's FIN is noticed, and not answered.</summary>
    public void StopReading()
    {
        _reading = false;
        Sync();
    }

    /// <summary>Reads again, if it had stopped.</summary>
    public void ReadOn()
    {
        _reading = true;
        Sync();
    }

    /// <summary>The connection is there.</summary>
    protected abstract void OnConnected();

    /// <summary>So many bytes came, and have been verified.</summary>
    protected virtual void OnReceived(int bytes)
    {
    }

    /// <summary>Everything that was to be sent has been accepted by the kernel. May be called from within Send.</summary>
    protected virtual void OnSent()
    {
    }

    /// <summary>Comes last, and once, also when it could not connect.</summary>
    protected virtual void OnEnded()
    {
    }

    /// <summary>The bytes to send at an offset: the keyed stream, unless the kind sends something else.</summary>
    protected virtual ReadOnlySpan<byte> BytesAt(long offset, long length) => _fleet.Payload.At(Number, offset, length);

    /// <summary>Receives once, as a kind does that reads in its own time.</summary>
    protected void ReceiveOnce()
    {
        if (IsOpen)
        {
            Receive(1);
            Sync();
        }
    }

    private void FinishConnect()
    {
        int error = TakeError();
        if (error == 0 && _fleet.Target.IsItself(_fd))
        {
            error = Libc.ConnectionRefused;
        }

        // A SYN that is refused gives another error: these come from a reset after the handshake, before we looked.
        bool reset = error is Libc.ConnectionReset or Libc.BrokenPipe;
        if (error != 0 && !reset)
        {
            End(Outcome.Failed, error);
            return;
        }

        _connected = true;
        _fleet.OnConnected(Stopwatch.GetElapsedTime(_connectStarted));
        if (reset)
        {
            End(Outcome.Reset, error);
            return;
        }

        OnConnected();
        Sync();
    }

    private void Flush()
    {
        if (!IsOpen || _finished || _broken != 0)
        {
            return;
        }

        bool any = Sent < _goal;
        while (Sent < _goal)
        {
            ReadOnlySpan<byte> bytes = BytesAt(Sent, _goal - Sent);
            nint n = Libc.Send(_fd, ref MemoryMarshal.GetReference(bytes), (nuint)bytes.Length, Libc.NoSignal);
            if (n >= 0)
            {
                Sent += n;
                _fleet.Ledger.Sent += n;
                continue;
            }

            int error = Marshal.GetLastPInvokeError();
            if (error == Libc.Interrupted)
            {
                continue;
            }

            if (error != Libc.Again)
            {
                // What the server had sent before can still be read; after this send, its end would look like a FIN.
                _broken = error;
                if (!_reading)
                {
                    End(Outcome.Reset, error);
                }
            }

            return;
        }

        if (any)
        {
            OnSent();
        }

        if (_finishing && IsOpen)
        {
            _finished = true;
            _ = Libc.Shutdown(_fd, Libc.ShutdownSend);
        }
    }

    private void Receive(int times = ReceivesPerTurn)
    {
        byte[] buffer = _fleet.Loop.Buffer;
        int size = Math.Min(ReceiveSize, buffer.Length);
        do
        {
            nint n = Libc.Receive(_fd, ref buffer[0], (nuint)size, 0);
            if (n > 0)
            {
                Take(buffer.AsSpan(0, (int)n));
                if (n < size)
                {
                    return;
                }
            }
            else if (n == 0)
            {
                End(_broken != 0 ? Outcome.Reset : _closing ? Outcome.Closed : Outcome.Ended, _broken);
                return;
            }
            else
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == Libc.Again)
                {
                    return;
                }

                if (error != Libc.Interrupted)
                {
                    End(Outcome.Reset, error);
                    return;
                }
            }
        }
        while (--times > 0 && IsOpen && _reading);
    }

    private void Take(ReadOnlySpan<byte> bytes)
    {
        long offset = Received;
        Received += bytes.Length;
        _fleet.Ledger.Received += bytes.Length;
        if (Verifies)
        {
            int known = (int)Math.Clamp(Sent - offset, 0, bytes.Length);
            int wrong = _fleet.Payload.Verify(Number, offset, bytes[..known], out long first, out byte expected);
            if (wrong > 0)
            {
                HasWrongBytes = true;
                _fleet.Ledger.CountWrong(Number, first, expected, bytes[(int)(first - offset)], wrong);
            }

            if (known < bytes.Length)
            {
                // More than was sent cannot be an echo.
                HasWrongBytes = true;
                _fleet.Ledger.CountWrong(Number, offset + known, null, bytes[known], bytes.Length - known);
            }
        }

        OnReceived(bytes.Length);
    }

    private void Fail(int error) => End(Outcome.Failed, error);

    private void End(Outcome outcome, int error)
    {
        if (Outcome != Outcome.None)
        {
            return;
        }

        Outcome = outcome;
        if (_fd >= 0)
        {
            // Closing takes it out of the epoll as well: nothing else holds this descriptor.
            _ = Libc.Close(_fd);
            _fd = -1;
            _fleet.Loop.Release(this);
        }

        _fleet.OnEnded(this, error);
        OnEnded();
    }

    private int TakeError()
    {
        int error = 0;
        uint length = sizeof(int);
        return Libc.GetOption(_fd, Libc.LevelSocket, Libc.SoError, ref error, ref length) == 0 ? error : Marshal.GetLastPInvokeError();
    }

    private void Sync()
    {
        if (!IsOpen)
        {
            return;
        }

        uint interest = (_reading ? Libc.In : 0) | (Sent < _goal && _broken == 0 ? Libc.Out : 0)
            | (!_reading && NoticesEnd && !HasNoticedEnd ? Libc.ReadHangUp : 0);
        if (interest != _interest)
        {
            _interest = interest;
            _fleet.Loop.Modify(this, _fd, interest);
        }
    }
}
