using System.Buffers;

namespace C10kServer.Engine;

// A session's output on its way to the worker, and the limits of its size.
//
// Output passes through three places, one after the other: the session (_outputLength), the worker's hands (_taken), and the connection's
// queue or the kernel. A session is clogged while these places hold more than the high-water mark. No consumer takes a further message of a
// clogged session. A clogged session is always released in the end: while output is in the first two places, a Deliver is under way; while
// the queue is above the mark, OnDrained or OnClosed will come. All three calls end in Release.
public sealed partial class Session
{
    // The smallest array that is rented for output, in bytes. One or two short answers fit into it.
    private const int LeastOutput = 256;

    // Bytes. When a session has more output than this, the worker is woken at once, because the output would grow while the worker sleeps.
    private const int MuchOutput = 32 * 1024;

    private readonly Lock _outputLock = new();
    private byte[]? _output;
    private int _outputLength;
    private SessionSignal _wishes;
    private bool _posted;
    private volatile bool _over;

    // Bytes that the worker has taken and not yet given to the connection. Written by the worker's thread.
    private int _taken;

    // The consumer whose handler waits in Send. Written by that consumer's thread.
    private SessionConsumer? _waiter;

    /// <summary>
    /// Whether so much output waits for the peer that no further message is handled. A snapshot, from any thread. The getter reads the three
    /// places in the order in which output passes through them, so that output which leaves one place meanwhile is seen in the next.
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
    /// Sends: copies the bytes, and the worker gets the copy. In the handler that has this session's message the call waits while the queue
    /// would exceed <see cref="ServerOptions.MaxSendQueue"/>, until the peer has taken most of the queue. Anywhere else the call does not wait.
    /// False means that nothing was sent, because the connection is closing or closed, or its queue is full. Data that is larger than the whole
    /// queue is accepted when nothing else waits.
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
    /// Sends a handler's answer to a message, of any length. The session's next message waits until the peer has taken the answer.
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
    /// From the worker's thread: takes the output and the signals of handlers since the last call. The caller returns the array to the shared
    /// pool. If there was output, the caller calls <see cref="OnDelivered"/> afterwards.
    /// </summary>
    internal SessionSignal TakeOutput(out byte[]? output, out int length)
    {
        lock (_outputLock)
        {
            (output, length) = (_output, _outputLength);
            SessionSignal wishes = _wishes;

            // A signal that ends the connection stays set, so that nothing more is sent after it.
            _wishes &= SessionSignal.Ends;
            _output = null;
            Volatile.Write(ref _taken, length);
            Volatile.Write(ref _outputLength, 0);
            _posted = false;
            return wishes;
        }
    }

    /// <summary>From the worker's thread: the connection has the output that the worker took.</summary>
    internal void OnDelivered()
    {
        // A full fence: a consumer that parks the session at the same time sees that nothing is pending, or this thread sees the parked session.
        Interlocked.Exchange(ref _taken, 0);
        if (!Connection.IsAboveMark)
        {
            Release();
        }
    }

    /// <summary>From the worker's thread: the connection's queue has drained to half of the high-water mark.</summary>
    internal void OnDrained()
    {
        Interlocked.MemoryBarrier();
        Release();
    }

    /// <summary>From the worker's thread: the connection has ended.</summary>
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
    /// On a consumer's thread, in the handler that has this session's message: waits until the session is no longer clogged, until its end has
    /// begun, or until the consumer is abandoned.
    /// </summary>
    private void AwaitDrain(SessionConsumer consumer)
    {
        // A full fence: the worker sees the waiter, or the waiter sees the worker's change.
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

    /// <summary>Lets consumers handle the session's messages again, and wakes a handler that waits in <see cref="Send"/>.</summary>
    private void Release()
    {
        if (_parked)
        {
            Scheduler.Unpark(this);
        }

        Volatile.Read(ref _waiter)?.Release();
    }

    /// <summary>The caller holds the output lock.</summary>
    private bool HasRoomFor(int length, bool isOwn)
    {
        long queued = SendQueue;
        return queued == 0 || queued + length <= Connection.Worker.Options.MaxSendQueue || (isOwn && !IsClogged);
    }

    /// <summary>Appends output. The caller holds the output lock, and passes the result to <see cref="Give"/> outside of the lock.</summary>
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

    /// <summary>Tells the worker of appended output, if the notice asks for that.</summary>
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

    /// <summary>How the worker learns of output.</summary>
    private enum Notice
    {
        /// <summary>Not at all, because the worker will fetch the output anyway.</summary>
        None,

        /// <summary>By a command whose wake-up may be put off.</summary>
        Post,

        /// <summary>By a command that wakes the worker at once.</summary>
        PostAtOnce,

        /// <summary>By a wake-up alone, because the command is already in the worker's mailbox.</summary>
        Wake,
    }
}
