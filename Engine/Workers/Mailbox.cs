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

    /// <summary>Sends what a handler thread has put into a <see cref="Session"/>, and does what the thread asks for.</summary>
    Deliver,

    /// <summary>Reads the server's options again.</summary>
    Configure,

    /// <summary>Gives its listening sockets to the AcceptLoop.</summary>
    StopAccepting,

    /// <summary>Gives all connections to other workers, and ends.</summary>
    Retire,

    /// <summary>Ends, and ends all connections.</summary>
    Stop,
}

/// <param name="Kind">What to do.</param>
/// <param name="Fd">Adopt: the descriptor, owned by the command until a worker has taken it.</param>
/// <param name="Remote">Adopt: the peer's address.</param>
/// <param name="Subject">Adopt: the listening socket. TakeOver: the transfer. Act, Walk: the request. Deliver: the session.</param>
/// <param name="Number">Walk: the slot to go on from. Stop: 1 for resets.</param>
internal readonly record struct Command(CommandKind Kind, int Fd = -1, SockAddr Remote = default, object? Subject = null, int Number = 0);

/// <summary>
/// The only door into a worker from outside: many producers, one consumer, and an eventfd that wakes the consumer. It has a lock and is not
/// a lock-free queue, because the lock is taken at most once per connection and once per turn, never for a message. Under the lock a
/// command can neither be lost when the worker ends nor wait unseen, because the flag that says "woken" and the queue change together
/// (pitfall 34). Posts that are made before the consumer has looked share one signal (pitfall 35).
/// </summary>
internal sealed class Mailbox : IDisposable
{
    // The queue has room for this many commands from the start, so that a worker can be reached when memory has run out.
    private const int LeastCapacity = 64;

    // If the queue cannot grow, a post waits for this long, up to this many times, until the consumer has made room.
    private const int PatienceMilliseconds = 10;
    private const int Patience = 100;

    private readonly Lock _lock = new();
    private readonly Descriptor _eventFd = EventFd.Open();
    private Queue<Command> _posted = new(LeastCapacity);
    private Queue<Command> _taken = new(LeastCapacity);
    private bool _signalled;
    private bool _waiting;
    private bool _closed;

    /// <summary>
    /// The number of commands that wait. May be read from any thread. The commands that are being worked off in this turn are not counted.
    /// </summary>
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

    /// <summary>The eventfd that the consumer registers. It is registered edge-triggered, so its counter need not be read.</summary>
    internal int EventFdNumber => _eventFd.Fd;

    /// <summary>Whether commands wait. A snapshot, for the consumer's thread.</summary>
    internal bool HasPosts => Volatile.Read(ref _waiting);

    /// <summary>
    /// Posts a command. May be called from any thread. Returns false when the worker has ended: the command was not taken, and what it owns
    /// still belongs to the caller.
    /// </summary>
    /// <param name="command">The command.</param>
    /// <param name="wake">Whether the consumer is woken for the command. Otherwise the caller calls <see cref="Wake"/> soon.</param>
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

    /// <summary>
    /// Wakes the consumer for commands that were posted without a wake-up, unless it has seen them by itself. May be called from any
    /// thread.
    /// </summary>
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

    /// <summary>
    /// Takes the next command. Called on the consumer's thread. Returns false when no command waits; the next post then signals again.
    /// </summary>
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

    /// <summary>Called on the consumer's thread. No further posts are accepted. Commands that were posted before are still to be taken.</summary>
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
            // The worker ended after the lock was released. It took the command from the queue when it closed the mailbox.
        }
    }
}
