using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// Observes connections that open and close and servers that change their state. It holds no engine thread up: an engine thread puts a small
/// value into a bounded queue, and an event that does not fit is dropped and counted. One observer may observe several servers. One consumer,
/// on any thread except an engine thread.
/// </summary>
public sealed class Observer : IDisposable
{
    /// <summary>The default for the most events that wait: some seconds of heavy traffic, in about a megabyte.</summary>
    public const int DefaultCapacity = 8192;

    // How many more events may wait if they are changes of state, because such changes are few and matter more than connections.
    private const int StateReserve = 64;

    private readonly int _capacity;
    private readonly Lock _lock = new();
    private readonly Queue<Entry> _queue = new();
    private readonly List<Server> _servers = [];
    private long _lost;
    private bool _over;

    // Set while an event waits in the queue, and after the observer was disposed of. It changes only under the lock, so that no wake-up is lost.
    private readonly ManualResetEventSlim _due = new(initialState: false, spinCount: 1);

    /// <summary>Makes an observer that observes no server yet.</summary>
    /// <param name="capacity">The most events that wait.</param>
    public Observer(int capacity = DefaultCapacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _capacity = capacity;
    }

    /// <summary>How many events were dropped because the queue was full.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Begins to observe a server. False when the server was stopped, because nothing more will happen to it.</summary>
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
    /// Waits for the next event. False when no event came in time, or when the observer was disposed of.
    /// </summary>
    /// <param name="timeout">How long to wait; <see cref="Timeout.InfiniteTimeSpan"/> waits without end.</param>
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

    /// <summary>Ends observing. A consumer that waits in <see cref="TryTake"/> returns.</summary>
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

    /// <summary>A server has ended. Called from any thread, so that an observer which outlives the server does not keep it in memory.</summary>
    internal void Forget(Server server)
    {
        lock (_lock)
        {
            _servers.Remove(server);
        }
    }

    /// <summary>Adds an event. From any thread, and mostly from the engine's threads. It never waits for the consumer.</summary>
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

    /// <summary>An event that waits. It is a value; no object is made of it before the consumer takes it.</summary>
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
