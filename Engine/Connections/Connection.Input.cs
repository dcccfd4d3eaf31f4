using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// What comes in: receiving, and the requests to read.
public sealed partial class Connection
{
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

        Requests!.AddRead(count, callback);
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

        Requests!.AddReadUntil(delimiter, maximum, callback);
        return true;
    }

    /// <summary>From now on bytes wait for requests. False when none can come any more.</summary>
    private bool Pull()
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed || (_flags & Flags.ReadsEnded) != 0)
        {
            return false;
        }

        RequestQueue requests = NeedRequests();
        if (Input is not null && (_flags & Flags.Pulled) == 0)
        {
            // It was searched for what ends a message of the framing.
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

    /// <summary>Whole messages go from where they were received; what is over waits in a buffer, for more or for its turn.</summary>
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

    // Pausing holds what is buffered, too: who pauses wants no further message. So do requests: these get it then.
    private bool TakesMessages =>
        _state is ConnectionState.Open or ConnectionState.HalfClosed && (_flags & (Flags.Paused | Flags.Pulled)) == 0;

    /// <summary>For the messages and requests that the ready list will serve.</summary>
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

    /// <summary>Reads again. The message that has begun is as late as it is.</summary>
    internal void ResumeByBudget()
    {
        if ((_flags & Flags.PausedByBudget) != 0)
        {
            _flags &= ~Flags.PausedByBudget;
            MarkChanged();
            ScheduleDeadline();
        }
    }

    /// <summary>Unfinished input takes too much memory, and this connection has most of it.</summary>
    internal void CloseByBudget()
    {
        Input?.Discard();
        try
        {
            BeginClose(CloseReason.MessageTooLong);
        }
        catch (OutOfMemoryException)
        {
            // Not on the account of the connection whose input grows.
            Abort(CloseReason.MessageTooLong);
        }
    }

    /// <summary>
    /// Reading goes on after a break. What is buffered comes first: with a receive for each break it would grow for ever
    /// (pitfall 29). And the peer is not late for the time in which nobody listened.
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
            // Everything that the peer has sent has arrived, in order. Messages among it whose turn has not come are still handled.
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
