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

        _requests!.AddReadUntil(delimiter, maximum, callback);
        return true;
    }

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
            _requests!.Keep(data, _worker.Now);
            _worker.Timers.ScheduleEarlier(this, Clock.Add(_requests.MessageBegan, _worker.MessageTimeout));
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
}
