using System.Buffers;

namespace C10kServer.Engine;

// A session's output on its way to the worker, and the bounds that hold for it.
//
// The output of a connection is in three places, one after the other: in the session (_outputLength), in the worker's hands (_taken), and in the
// connection's queue or with the kernel. A session is clogged while these hold more than the high-water mark: then no consumer takes a further
// message of it. Who clogs a session is never forgotten: output in the first two places means that a Deliver is under way, and a queue above
// the mark means that OnDrained or OnClosed will come; all three end in Release.
public sealed partial class Session
{
    // The least that is rented for output: an answer or two.
    private const int LeastOutput = 256;

    // So much output does not wait for a saved wake-up, because it would grow while the worker sleeps.
    private const int MuchOutput = 32 * 1024;

    private readonly Lock _outputLock = new();
    private byte[]? _output;
    private int _outputLength;
    private SessionSignal _wishes;
    private bool _posted;
    private volatile bool _over;

    // Written by the worker's thread.
    private int _taken;

    // The consumer whose handler waits in Send. Written by the consumer's thread.
    private SessionConsumer? _waiter;

    /// <summary>
    /// Whether the peer has so much output to take that no further message is handled. From any thread; a look. In this order: output that leaves
    /// one place is seen in the next.
    /// </summary>
    internal bool IsClogged
    {
        get
        {
            int pending = Pending;
            return !_over
                && (Connection.IsAboveMark || (pending > 0 && (long)pending + Connection.SendQueue > Connection.Worker.Options.HighWaterMark));
        }
    }

    private int Pending => Volatile.Read(ref _outputLength) + Volatile.Read(ref _taken);

    private bool HasEnded => _over || (_wishes & SessionSignal.Ends) != 0 || State is ConnectionState.Closing or ConnectionState.Closed;

    /// <summary>
    /// Sends: the bytes are copied here, and the worker gets them. In the handler that has this session's message the call waits while the
    /// queue would exceed <see cref="ServerOptions.MaxSendQueue"/>, until the peer has taken most of it. Anywhere else the call does not wait. False,
    /// and nothing is sent: the connection is closing or closed, or its queue is full. Data that is larger than the whole queue is taken when
    /// nothing else waits.
    /// </summary>
    public bool Send(ReadOnlySpan<byte> data)
    {
        Notice notice;
        while (true)
        {
            SessionConsumer? own = SessionConsumer.Current is { } current && current.Session == this ? current : null;
            lock (_outputLock)
            {
                if (HasEnded)
                {
                    return false;
                }

                if (HasRoomFor(data.Length, own is not null))
                {
                    notice = Put(data);
                    break;
                }
            }

            if (own is null)
            {
                return false;
            }

            AwaitDrain(own);
        }

        Give(notice);
        return true;
    }

    /// <summary>
    /// Sends what a handler has answered to a message, however much that is: the session's next message waits until the peer has taken it.
    /// False when the connection is closing or closed.
    /// </summary>
    public bool Answer(ReadOnlySpan<byte> data)
    {
        Notice notice;
        lock (_outputLock)
        {
            if (HasEnded)
            {
                return false;
            }

            notice = Put(data);
        }

        Give(notice);
        return true;
    }

    /// <summary>
    /// From the worker's thread: what handlers have sent and wished since it last asked. The array goes back to the shared pool. Where there was
    /// output, <see cref="OnDelivered"/> follows.
    /// </summary>
    internal SessionSignal TakeOutput(out byte[]? output, out int length)
    {
        lock (_outputLock)
        {
            (output, length) = (_output, _outputLength);
            SessionSignal wishes = _wishes;

            // What ends it stays: nothing is to be sent after that.
            _wishes &= SessionSignal.Ends;
            _output = null;
            Volatile.Write(ref _taken, length);
            Volatile.Write(ref _outputLength, 0);
            _posted = false;
            return wishes;
        }
    }

    /// <summary>From the worker's thread: the connection has what was taken.</summary>
    internal void OnDelivered()
    {
        // A full fence: a consumer that parks the session afterwards sees that nothing is pending, or is seen here.
        Interlocked.Exchange(ref _taken, 0);
        if (!Connection.IsAboveMark)
        {
            Release();
        }
    }

    /// <summary>From the worker's thread: the connection's queue is down to half of the mark.</summary>
    internal void OnDrained()
    {
        Interlocked.MemoryBarrier();
        Release();
    }

    /// <summary>From the worker's thread: the connection is over.</summary>
    internal void OnClosed()
    {
        TakeOutput(out byte[]? output, out _);
        if (output is not null)
        {
            ArrayPool<byte>.Shared.Return(output);
        }

        lock (_outputLock)
        {
            _over = true;
        }

        Interlocked.Exchange(ref _taken, 0);
        Release();
    }

    /// <summary>
    /// On a consumer's thread, in a handler that has this session's message: waits until the session is no longer clogged, its end has begun, or
    /// the consumer is abandoned.
    /// </summary>
    private void AwaitDrain(SessionConsumer consumer)
    {
        // A full fence: the worker sees the waiter, or the waiter sees what the worker has done.
        Interlocked.Exchange(ref _waiter, consumer);
        while (consumer.BeginWait() && IsClogged && !HasEndedNow())
        {
            consumer.WaitForRelease();
        }

        Volatile.Write(ref _waiter, null);

        bool HasEndedNow()
        {
            lock (_outputLock)
            {
                return HasEnded;
            }
        }
    }

    /// <summary>Messages are handled again, and a handler that waits in <see cref="Send"/> goes on.</summary>
    private void Release()
    {
        if (_parked)
        {
            Scheduler.Unpark(this);
        }

        Volatile.Read(ref _waiter)?.Release();
    }

    /// <summary>Under the lock of output.</summary>
    private bool HasRoomFor(int length, bool isOwn)
    {
        long queued = SendQueue;
        return queued == 0 || queued + length <= Connection.Worker.Options.MaxSendQueue || (isOwn && !IsClogged);
    }

    /// <summary>Appends output; under its lock. The result is for <see cref="Give"/>, outside of the lock.</summary>
    private Notice Put(ReadOnlySpan<byte> data)
    {
        if (data.IsEmpty)
        {
            return Notice.None;
        }

        int before = _outputLength;
        long needed = (long)before + data.Length;
        if (needed > Array.MaxLength)
        {
            throw new InvalidOperationException($"{needed} bytes are more than can be sent at once. Send them in parts.");
        }

        if (_output is null)
        {
            _output = ArrayPool<byte>.Shared.Rent(Math.Max((int)needed, LeastOutput));
        }
        else if (_output.Length < needed)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Math.Max(needed, _output.Length * 2L), Array.MaxLength));
            _output.AsSpan(0, before).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_output);
            _output = larger;
        }

        data.CopyTo(_output.AsSpan(before));
        Volatile.Write(ref _outputLength, (int)needed);
        bool isMuch = before <= MuchOutput && needed > MuchOutput;
        bool isPosted = _posted;
        _posted = true;
        return !isPosted ? (isMuch ? Notice.PostAtOnce : Notice.Post) : isMuch ? Notice.Wake : Notice.None;
    }

    /// <summary>Lets the worker know of what was appended, where it is to know now.</summary>
    private void Give(Notice notice)
    {
        switch (notice)
        {
            case Notice.Post:
                Post(atOnce: false);
                break;
            case Notice.PostAtOnce:
                Post(atOnce: true);
                break;
            case Notice.Wake:
                Connection.Worker.Wake();
                break;
            default:
                break;
        }
    }

    /// <summary>How the worker gets to know of output.</summary>
    private enum Notice
    {
        /// <summary>It will come for it anyway.</summary>
        None,

        /// <summary>By a command, whose wake-up may be saved.</summary>
        Post,

        /// <summary>By a command that wakes it.</summary>
        PostAtOnce,

        /// <summary>It has the command, and is woken for it.</summary>
        Wake,
    }
}
