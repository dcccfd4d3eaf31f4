using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// Sees connections open and close and servers change their state, and holds nobody up by it: the engine's threads put a small value into a
/// bounded queue, and what does not fit is dropped and counted. It may observe several servers. One consumer, on any thread but an engine
/// thread.
/// </summary>
public sealed class Observer : IDisposable
{
    /// <summary>Events that wait at most, unless another number is asked for: some seconds of heavy traffic, in about a megabyte.</summary>
    public const int DefaultCapacity = 8192;

    // What waits beyond the connections: changes of state are few, and matter more.
    private const int StateReserve = 64;

    private readonly int _capacity;
    private readonly Lock _lock = new();
    private readonly Queue<Entry> _queue = new();
    private readonly List<Server> _servers = [];
    private long _lost;
    private bool _over;

    // Set while something waits in the queue, or nothing will any more. It changes under the lock, so that no wake-up is lost.
    private readonly ManualResetEventSlim _due = new(initialState: false, spinCount: 1);

    /// <summary>Observes nothing yet.</summary>
    /// <param name="capacity">The events that wait at most.</param>
    public Observer(int capacity = DefaultCapacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _capacity = capacity;
    }

    /// <summary>Events that were dropped, as the queue was full.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>From now on it sees what happens to a server. False when that one was stopped: nothing will happen to it.</summary>
    public bool Observe(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_over, this);
            _servers.Add(server);
        }

        if (server.Observers.Add(this))
        {
            return true;
        }

        Forget(server);
        return false;
    }

    /// <summary>
    /// The next event, waited for. False when none came in time, or when it was disposed of.
    /// </summary>
    /// <param name="timeout">How long to wait; <see cref="Timeout.InfiniteTimeSpan"/> for as long as it takes.</param>
    /// <param name="cancel">Ends the wait.</param>
    /// <param name="happened">What happened.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool TryTake(TimeSpan timeout, CancellationToken cancel, [NotNullWhen(true)] out ServerEvent? happened)
    {
        cancel.ThrowIfCancellationRequested();
        do
        {
            lock (_lock)
            {
                if (_over)
                {
                    break;
                }

                if (_queue.TryDequeue(out Entry entry))
                {
                    happened = entry.ToEvent();
                    return true;
                }

                _due.Reset();
            }
        }
        while (_due.Wait(timeout, cancel));

        happened = null;
        return false;
    }

    /// <summary>Observes nothing any more. A consumer that waits is let go.</summary>
    public void Dispose()
    {
        Server[] servers;
        lock (_lock)
        {
            _over = true;
            _queue.Clear();
            _due.Set();
            servers = [.. _servers];
            _servers.Clear();
        }

        foreach (Server server in servers)
        {
            server.Observers.Remove(this);
        }
    }

    /// <summary>A server is over: an observer that outlives it does not keep it in memory. From any thread.</summary>
    internal void Forget(Server server)
    {
        lock (_lock)
        {
            _servers.Remove(server);
        }
    }

    /// <summary>From any thread, the engine's above all. Never waits for the consumer.</summary>
    internal void Tell(in Entry entry)
    {
        lock (_lock)
        {
            int most = entry.Kind switch
            {
                ServerEventKind.Ended => int.MaxValue,
                ServerEventKind.StateChanged => _capacity + StateReserve,
                _ => _capacity,
            };
            if (_over)
            {
                return;
            }

            if (_queue.Count >= most)
            {
                _lost++;
                return;
            }

            _queue.Enqueue(entry);
            if (_queue.Count == 1)
            {
                _due.Set();
            }
        }
    }

    /// <summary>An event as it waits: no object is made of it before somebody takes it.</summary>
    internal readonly record struct Entry(
        Server Server, ServerEventKind Kind, ClosedRing.Record Connection, ServerState Before, ServerState State)
    {
        internal ServerEvent ToEvent() => new(
            Server,
            Kind,
            Kind switch
            {
                ServerEventKind.ConnectionOpened => Connection.ToInfo() with { State = ConnectionState.Open, EndTime = null },
                ServerEventKind.ConnectionClosed => Connection.ToInfo(),
                _ => null,
            },
            Before,
            State);
    }
}
