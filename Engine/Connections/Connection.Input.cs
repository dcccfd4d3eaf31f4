using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// Input: receiving, and read requests.
public sealed partial class Connection
{
    /// <summary>
    /// Asks for exactly <paramref name="count"/> bytes. The callback runs once, after this call has returned. It gets the bytes, or the
    /// reason why they will not come. Requests are served in order. Returns false when nothing more can come, because the connection is
    /// closing, closed or at the end of its input. There is no request then, and no callback.
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

        Requests!.AddRead(count, callback);
        return true;
    }

    /// <summary>
    /// Asks for the bytes up to a delimiter, which is consumed and is not part of the data. If more than <paramref name="maximum"/> bytes
    /// come without the delimiter, the request ends and the connection closes with <see cref="CloseReason.MessageTooLong"/>. Returns false
    /// in the same cases as <see cref="Read"/>.
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

        Requests!.AddReadUntil(delimiter, maximum, callback);
        return true;
    }

    /// <summary>From now on, received bytes wait for read requests. Returns false when no bytes can come any more.</summary>
    private bool Pull()
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed || (_flags & Flags.ReadsEnded) != 0)
        {
            return false;
        }

        RequestQueue requests = NeedRequests();
        if (Input is not null && (_flags & Flags.Pulled) == 0)
        {
            // The input was searched for the end of a message of the framing, and not for what a read request asks for.
            Input.Scanned = 0;
        }

        _flags |= Flags.Pulled;
        if (!requests.HasReads)
        {
            ReturnToInput();
        }

        MarkReady();
        MarkChanged();
        return true;
    }

    private RequestQueue NeedRequests()
    {
        _pendingIo ??= new PendingIo();
        return _pendingIo.Requests ??= new RequestQueue();
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
                _moments.LastActivity = _worker.Now;
                Deliver(new ReadOnlySpan<byte>(_worker.Scratch, n));

                // Without a sign of an end, the next wait reports what may be left. That is cheaper than a call that returns EAGAIN.
                if ((ready & (Epoll.RdHup | Epoll.Hup | Epoll.Err)) == 0 || !IsReading)
                {
                    return;
                }
            }
            else if (n == 0)
            {
                // Only a recv that returns 0 is the peer's end, because RDHUP comes while bytes are still to be read (pitfalls 9, 10).
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
                    OnReceiveError(errno);
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
            Keep(data);
        }
        else if (_worker.Framing is not null)
        {
            DeliverFramed(_worker.Framing, data);
        }
        else
        {
            HandOn(data);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void HandOn(ReadOnlySpan<byte> message)
    {
        MessagesReceived++;
        _worker.Counters.MessagesReceived++;
        try
        {
            _handler.OnReceived(this, message);
        }
        catch (Exception e)
        {
            FailHandler(e);
        }
    }

    /// <summary>
    /// Handles complete messages directly from the receive buffer. The rest is kept in a buffer of the connection's own, until more bytes
    /// come or until it has its turn.
    /// </summary>
    private void DeliverFramed(Framing framing, ReadOnlySpan<byte> data)
    {
        int scanned = 0;
        if (Input is not { Length: > 0 })
        {
            for (int i = 0; i < CallbacksPerTurn && TakesMessages; i++)
            {
                FrameResult result = framing.TryRead(data, _worker.Options.MaxMessage, ref scanned, out ReadOnlySpan<byte> message, out int consumed);
                if (result == FrameResult.TooLong)
                {
                    CloseTooLong(_worker.Options.MaxMessage);
                    return;
                }

                if (result == FrameResult.Partial)
                {
                    break;
                }

                HandOn(message);
                data = data[consumed..];
                scanned = 0;
            }
        }

        if (!data.IsEmpty && _state is not (ConnectionState.Closing or ConnectionState.Closed))
        {
            Keep(data);
        }
    }

    // Pausing also holds back buffered messages, because a handler that pauses wants no further message. Read requests hold them back, too,
    // because the requests get the bytes.
    private bool TakesMessages =>
        _state is ConnectionState.Open or ConnectionState.HalfClosed && (_flags & (Flags.Paused | Flags.Pulled)) == 0;

    /// <summary>Keeps bytes for the messages and read requests that the ready list will serve.</summary>
    private void Keep(ReadOnlySpan<byte> data)
    {
        _pendingIo ??= new PendingIo();
        InputBuffer input = _pendingIo.Input ??= new InputBuffer(_worker.Inputs);
        input.Append(data, _worker.Now);
        _worker.Timers.ScheduleEarlier(this, Clock.Add(input.MessageBegan, _worker.MessageTimeout));
        MarkReady();
        if (_worker.Inputs.Held > _worker.InputBudget.NextLook)
        {
            _worker.InputBudget.OnGrowth();
        }
    }

    /// <summary>The bytes of memory that unfinished input takes.</summary>
    internal int InputHeld => Input?.Held ?? 0;

    internal void PauseByBudget()
    {
        if (_state == ConnectionState.Open)
        {
            Pause(Flags.PausedByBudget);
        }
    }

    /// <summary>Reads again. The pause does not extend the deadline of a message that has begun.</summary>
    internal void ResumeByBudget()
    {
        if ((_flags & Flags.PausedByBudget) != 0)
        {
            _flags &= ~Flags.PausedByBudget;
            MarkChanged();
            ScheduleDeadline();
        }
    }

    /// <summary>
    /// Closes the connection, because unfinished input takes too much memory and this connection is among the ones that hold most of it.
    /// </summary>
    internal void CloseByBudget()
    {
        Input?.Discard();
        try
        {
            BeginClose(CloseReason.MessageTooLong);
        }
        catch (OutOfMemoryException)
        {
            // The failure is handled here, because the caller would charge it to the connection whose input grows.
            Abort(CloseReason.MessageTooLong);
        }
    }

    /// <summary>
    /// Prepares for reading after a break. Buffered input is handled first: if each break were followed by a receive, the buffer would grow
    /// for ever (pitfall 29). The message's time begins again, because the peer is not late for the time in which the server did not read.
    /// </summary>
    private void ReturnToInput()
    {
        if (Input is { Length: > 0 })
        {
            Input.MessageBegan = _worker.Now;
            _flags |= Flags.InputDue;
        }
    }

    private void OnReceiveError(int errno)
    {
        if (errno == Errno.ECONNRESET && _state == ConnectionState.Open && IsUnix)
        {
            // Everything that the peer has sent has arrived, in order. Messages among it that have not been handled yet are still handled.
            _flags |= Flags.PeerReset;
            OnPeerEnd();
        }
        else
        {
            FailSocket(errno);
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
}
