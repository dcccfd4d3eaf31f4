using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>What a worker can be asked to do from another thread. A closed set.</summary>
internal enum CommandKind
{
    /// <summary>Takes over an accepted descriptor.</summary>
    Adopt,

    /// <summary>Takes over a connection from another worker, as a <see cref="ConnectionTransfer"/>.</summary>
    TakeOver,

    /// <summary>Does something with one connection, for a <see cref="ConnectionRequest"/>.</summary>
    Act,

    /// <summary>Makes the next portion of rows, for a <see cref="ConnectionWalk"/>.</summary>
    Walk,

    /// <summary>Sends what a handler thread has put into a <see cref="Session"/>, and does what it wishes.</summary>
    Deliver,

    /// <summary>Reads the server's options again.</summary>
    Configure,

    /// <summary>Gives its listening sockets to the AcceptLoop.</summary>
    StopAccepting,

    /// <summary>Gives all connections to other workers, and ends.</summary>
    Retire,

    /// <summary>Ends, and all connections with it.</summary>
    Stop,
}

/// <param name="Kind">What to do.</param>
/// <param name="Fd">Adopt: the descriptor, owned by the command until a worker has taken it.</param>
/// <param name="Remote">Adopt: the peer's address.</param>
/// <param name="Subject">Adopt: the listening socket. TakeOver: the transfer. Act, Walk: the request. Deliver: the session.</param>
/// <param name="Number">Walk: the slot to go on from. Stop: 1 for resets.</param>
internal readonly record struct Command(CommandKind Kind, int Fd = -1, SockAddr Remote = default, object? Subject = null, int Number = 0);

/// <summary>
/// The only door into a worker from outside: many producers, one consumer, and an eventfd that wakes the consumer. A lock and not
/// a lock-free queue, as it is taken once a connection and once a turn at most, never for a message, and as under it a command can
/// neither be lost with the end of the worker nor wait unseen: the flag that says "woken" and the queue change together
/// (pitfall 34), and posts made before the consumer has looked share one signal (pitfall 35).
/// </summary>
internal sealed class Mailbox : IDisposable
{
    // Commands for which there is room from the start, so that a worker can be reached when memory has run out.
    private const int LeastCapacity = 64;

    // A post for which the queue cannot grow waits so often for so long until the consumer has made room.
    private const int PatienceMilliseconds = 10;
    private const int Patience = 100;

    private readonly Lock _lock = new();
    private readonly Descriptor _eventFd = EventFd.Open();
    private Queue<Command> _posted = new(LeastCapacity);
    private Queue<Command> _taken = new(LeastCapacity);
    private bool _signalled;
    private bool _waiting;
    private bool _closed;

    /// <summary>Commands that wait. From any thread; those being worked off in this turn are not counted.</summary>
    internal int Count
    {
        get
        {
            lock (_lock)
            {
                return _posted.Count;
            }
        }
    }

    /// <summary>For the consumer to register, edge-triggered: then the counter need not be read.</summary>
    internal int EventFdNumber => _eventFd.Fd;

    /// <summary>Whether commands wait; a look, on the consumer's thread.</summary>
    internal bool HasPosts => Volatile.Read(ref _waiting);

    /// <summary>From any thread. False when the worker is over: the command was not taken, and what it owns is still the caller's.</summary>
    /// <param name="command">The command.</param>
    /// <param name="wake">Whether the consumer is woken for it. Otherwise the caller calls <see cref="Wake"/> soon.</param>
    /// <exception cref="OutOfMemoryException">The queue could not grow, and the consumer did not make room within a second.</exception>
    internal bool Post(in Command command, bool wake = true)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return TryPost(command, wake);
            }
            catch (OutOfMemoryException) when (attempt < Patience)
            {
                // The consumer swaps the queues in its next turn.
                Wake();
                Thread.Sleep(PatienceMilliseconds);
            }
        }
    }

    /// <summary>From any thread: wakes the consumer for what was posted without, if it has not seen it by itself.</summary>
    internal void Wake()
    {
        lock (_lock)
        {
            if (_signalled || !_waiting || _closed)
            {
                return;
            }

            _signalled = true;
        }

        Signal();
    }

    /// <summary>On the consumer's thread. False when nothing waits: then the next post signals again.</summary>
    internal bool TryTake(out Command command)
    {
        if (_taken.Count == 0)
        {
            lock (_lock)
            {
                _signalled = _waiting = false;
                (_posted, _taken) = (_taken, _posted);
            }
        }

        return _taken.TryDequeue(out command);
    }

    /// <summary>On the consumer's thread: no further posts. What was posted is still to be taken.</summary>
    internal void Close()
    {
        lock (_lock)
        {
            _closed = true;
        }
    }

    public void Dispose() => _eventFd.Dispose();

    private bool TryPost(in Command command, bool wake)
    {
        lock (_lock)
        {
            if (_closed)
            {
                return false;
            }

            _posted.Enqueue(command);
            _waiting = true;
            if (!wake || _signalled)
            {
                return true;
            }

            _signalled = true;
        }

        Signal();
        return true;
    }

    private void Signal()
    {
        try
        {
            EventFd.Signal(_eventFd);
        }
        catch (ObjectDisposedException)
        {
            // The worker ended between the lock and here; it took the command from the queue when it closed it.
        }
    }
}
