using System.Buffers;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// Output: writes, the rest of writes that the socket has not taken, and the end of output.
public sealed partial class Connection
{
    /// <summary>
    /// Sends as much as the socket takes at once. The rest is copied and queued. Returns false when the connection is closing or closed;
    /// nothing is sent then.
    /// </summary>
    public bool Write(ReadOnlySpan<byte> data) => Write(data, null);

    /// <summary>
    /// Does the same as <see cref="Write(ReadOnlySpan{byte})"/>. The callback runs once, after this call has returned, unless this call
    /// returned false.
    /// </summary>
    public bool Write(ReadOnlySpan<byte> data, WriteCallback? callback)
    {
        CheckThread();
        return Write(data, callback, _worker.Options.MaxSendQueue);
    }

    /// <summary>
    /// Whether the queue has exceeded the high-water mark and has not drained to half of it since. A snapshot, which any thread may read.
    /// </summary>
    internal bool IsAboveMark => (_flags & Flags.PausedByBackpressure) != 0;

    /// <summary>
    /// Sends for a caller that is not the connection's handler. If the queue holds so much that it would exceed
    /// <see cref="ServerOptions.MaxSendQueue"/>, nothing is sent and the connection goes on.
    /// </summary>
    internal SendOutcome TryWrite(ReadOnlySpan<byte> data)
    {
        long queued = Tag is Session session ? session.SendQueue : SendQueue;
        return _state is ConnectionState.Closing or ConnectionState.Closed ? SendOutcome.Closing
            : queued > 0 && queued + data.Length > _worker.Options.MaxSendQueue ? SendOutcome.QueueFull
            : Write(data, null, Array.MaxLength) ? SendOutcome.Taken
            : SendOutcome.Closing;
    }

    private bool Write(ReadOnlySpan<byte> data, WriteCallback? callback, int most)
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed)
        {
            return false;
        }

        int queued = Output?.Length ?? 0;
        long end = BytesSent + queued + data.Length;
        if (queued == 0 && !data.IsEmpty)
        {
            data = data[Send(data)..];
        }

        if (!data.IsEmpty && _state != ConnectionState.Closed)
        {
            Enqueue(data, most);
        }

        if (callback is not null)
        {
            NeedRequests().AddWrite(end, callback);
            MarkReady();
        }

        return true;
    }

    /// <summary>Applies what handler threads have sent and asked for since the last time.</summary>
    internal void Deliver(Session session)
    {
        SessionSignal wishes = session.TakeOutput(out byte[]? output, out int length);
        if (output is not null)
        {
            // Sessions have bounds of their own, so the output that a session has accepted is never too much.
            Write(output.AsSpan(0, length), null, Array.MaxLength);
            ArrayPool<byte>.Shared.Return(output);
            session.OnDelivered();
        }

        if (_state == ConnectionState.Closed)
        {
            return;
        }

        if ((wishes & SessionSignal.Resume) != 0)
        {
            Resume(Flags.PausedBySession);
        }

        if ((wishes & SessionSignal.Ends) != 0)
        {
            End(wishes);
        }
    }

    private void End(SessionSignal wishes)
    {
        if ((wishes & SessionSignal.Abort) != 0)
        {
            Abort(CloseReason.Aborted);
        }
        else if ((wishes & SessionSignal.TimeOut) != 0)
        {
            BeginClose(CloseReason.HandlerTimeout);
        }
        else if ((wishes & SessionSignal.Fail) != 0)
        {
            BeginClose(CloseReason.HandlerError);
        }
        else
        {
            Close();
        }
    }

    /// <summary>Sends, and returns the number of bytes that the socket has taken.</summary>
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
                _moments.LastActivity = _worker.Now;
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

    private void Enqueue(ReadOnlySpan<byte> data, int most)
    {
        try
        {
            Append(data, most);
        }
        catch (OutOfMemoryException)
        {
            // The handler must not catch this exception: part of the bytes is with the kernel already, and nothing may follow a gap.
            // The input stays where it is until the end of the turn, because the handler may be reading a message from it.
            _worker.OnMemoryExhausted();
            Abort(CloseReason.Aborted);
        }
    }

    private void Append(ReadOnlySpan<byte> data, int most)
    {
        _pendingIo ??= new PendingIo();
        SendQueue output = _pendingIo.Output ??= new SendQueue(_worker.Buffers);
        if ((long)output.Length + data.Length > most)
        {
            _worker.OnSendQueueFull(this, most);
            Abort(CloseReason.SendQueueFull);
            return;
        }

        if (output.Length == 0)
        {
            _pendingIo.LastProgress = _worker.Now;
            _pendingIo.Unsent = 0;
            _worker.Timers.ScheduleEarlier(this, Clock.Add(_worker.Now, _worker.StallLookInterval));
        }

        output.Append(data);
        if (output.Length > _worker.HighWaterMark)
        {
            _flags |= Flags.PausedByBackpressure;
        }

        MarkChanged();
    }

    private void Flush()
    {
        SendQueue output = Output!;
        int budget = SendBytesPerTurn;
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
                _pendingIo!.LastProgress = _worker.Now;
            }

            if (n < head.Length)
            {
                break;
            }
        }

        if (Requests is not null)
        {
            MarkReady();
        }

        if ((_flags & Flags.PausedByBackpressure) != 0 && output.Length <= _worker.HighWaterMark / 2)
        {
            _flags |= Flags.TellDrained;
            Resume(Flags.PausedByBackpressure);
        }

        MarkChanged();
        if (output.Length == 0 && _state == ConnectionState.Closing)
        {
            EndOutput();
        }
    }

    /// <summary>
    /// Called when the connection is closing and all output is with the kernel. Tells the peer that our output has ended, and lingers for
    /// the peer's end.
    /// </summary>
    private void EndOutput()
    {
        if ((_flags & Flags.PeerEnded) != 0)
        {
            Finish(_reason);
            return;
        }

        // The allocation comes first, because it may fail.
        _pendingIo ??= new PendingIo();
        if (Libc.Shutdown(Fd, Sockets.ShutWrite) != 0)
        {
            // The socket is not connected any more. The error that waits on the socket tells why, for example a reset that nobody has read
            // yet.
            int errno = Errno.Last;
            FailSocket(errno == Errno.ENOTCONN ? Sockets.TakeError(Fd) : errno);
            return;
        }

        _flags |= Flags.WriteShut;
        _pendingIo.LastProgress = _worker.Now;
        _pendingIo.Unsent = 0;
        _worker.Timers.ScheduleEarlier(this, Clock.Add(_worker.Now, _worker.LingerTimeout));
    }

    /// <summary>
    /// Whether the peer has taken nothing for the write timeout. What counts is what the peer acknowledges, not what the kernel takes from
    /// us, because a slow reader makes progress long before the send buffer has room again.
    /// </summary>
    private bool IsPeerStalled(long now)
    {
        if (_pendingIo is not { } pendingIo)
        {
            return false;
        }

        if (SendQueue == 0 && (_flags & Flags.WriteShut) == 0)
        {
            return false;
        }

        int unsent = Sockets.UnsentBytes(Fd);
        if (unsent != pendingIo.Unsent)
        {
            // If this was the last unsent output, lingering counts from here.
            pendingIo.Unsent = unsent;
            pendingIo.LastProgress = now;
        }

        return (unsent > 0 || SendQueue > 0) && now >= Clock.Add(_worker.Latest(pendingIo.LastProgress), _worker.WriteTimeout);
    }
}
