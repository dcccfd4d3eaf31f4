using System.Collections.Concurrent;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>What a worker can be asked to do from another thread. A closed set.</summary>
internal enum CommandKind
{
    /// <summary>Takes over an accepted descriptor.</summary>
    Adopt,

    /// <summary>Closes or resets one connection, for a <see cref="CloseRequest"/>.</summary>
    Close,

    /// <summary>Makes the next portion of rows, for a <see cref="ConnectionWalk"/>.</summary>
    Walk,

    /// <summary>Ends the loop.</summary>
    Stop,
}

/// <param name="Kind">What to do.</param>
/// <param name="Fd">Adopt: the descriptor, owned by the command until a worker has taken it.</param>
/// <param name="Remote">Adopt: the peer's address.</param>
/// <param name="Subject">Adopt: the listening socket. Close, Walk: the request. Stop: nothing.</param>
/// <param name="Number">Walk: the slot to go on from. Stop: 1 for resets.</param>
internal readonly record struct Command(CommandKind Kind, int Fd = -1, SockAddr Remote = default, object? Subject = null, int Number = 0);

/// <summary>
/// The only door into a worker from outside: many producers, one consumer, and an eventfd that wakes the consumer. Posts made
/// while it is being woken share one signal (pitfall 35).
/// </summary>
/// <param name="decline">Disposes of a command that came too late, on whichever thread finds it.</param>
internal sealed class Mailbox(Action<Command> decline) : IDisposable
{
    private readonly ConcurrentQueue<Command> _queue = new();
    private readonly Descriptor _eventFd = EventFd.Open();
    private int _signalled;
    private volatile bool _closed;

    /// <summary>Commands that wait. From any thread.</summary>
    internal int Count => _queue.Count;

    /// <summary>For the consumer to register, edge-triggered: then the counter need not be read.</summary>
    internal int EventFdNumber => _eventFd.Fd;

    /// <summary>From any thread. False when the worker is over: the command was not taken, and what it owns is still the caller's.</summary>
    internal bool Post(in Command command)
    {
        if (_closed)
        {
            return false;
        }

        _queue.Enqueue(command);

        // A full fence: the command is in the queue before the flag is looked at. The consumer clears the flag, with a full fence,
        // before it looks at the queue. So either it sees the command or this thread sees a cleared flag and signals
        // (pitfall 34).
        if (Interlocked.Exchange(ref _signalled, 1) == 0)
        {
            try
            {
                EventFd.Signal(_eventFd);
            }
            catch (ObjectDisposedException) when (_closed)
            {
                // Nobody is left to be woken; the drain below sees to the command.
            }
        }

        if (_closed)
        {
            Drain();
        }

        return true;
    }

    /// <summary>On the consumer's thread, before it drains.</summary>
    internal void ClearSignal() => Interlocked.Exchange(ref _signalled, 0);

    internal bool TryTake(out Command command) => _queue.TryDequeue(out command);

    internal bool IsEmpty => _queue.IsEmpty;

    /// <summary>
    /// On the consumer's thread: no further posts, and what is in the queue is declined. A post that is just under way either is
    /// seen here or, after its fence, sees the flag and drains itself.
    /// </summary>
    internal void Close()
    {
        _closed = true;
        Interlocked.MemoryBarrier();
        Drain();
    }

    public void Dispose() => _eventFd.Dispose();

    private void Drain()
    {
        while (_queue.TryDequeue(out Command command))
        {
            decline(command);
        }
    }
}
