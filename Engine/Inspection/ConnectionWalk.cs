using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// A walk over the connections of a server. All workers are asked at once. Each worker makes rows of its own connections in portions, and
/// does other work between them. A worker that a handler blocks holds up no other worker. A connection that opens or closes meanwhile may or
/// may not be among the rows. Each row is right for the moment at which it was made. One consumer, on any thread except an engine thread.
/// </summary>
public sealed class ConnectionWalk : IDisposable
{
    private readonly BlockingCollection<Message> _messages = [];
    // The workers themselves and not their ids, because a worker that is leaving may have the same id as its successor.
    private readonly HashSet<Worker> _asked = [];
    private readonly WorkerPool _pool;
    private readonly Broadcast? _broadcast;
    private volatile bool _over;

    // How many times the workers are asked at most. The bound matters when connections migrate all the time.
    private int _rounds = 16;
    private long _movesBefore;

    internal ConnectionWalk(ConnectionQuery filter, WorkerPool pool, Broadcast? broadcast = null)
    {
        Filter = filter;
        _pool = pool;
        _broadcast = broadcast;
        Ask();
    }

    /// <summary>The ids of the workers that did not answer within the time that the consumer gave them.</summary>
    public IReadOnlyList<int> SilentWorkers { get; private set; } = [];

    /// <summary>For a broadcast: whether the connection of a row was sent nothing, because its queue was full already.</summary>
    public bool WasFull(long id) => _broadcast?.WasFull(id) ?? false;

    internal ConnectionQuery Filter { get; }

    /// <summary>The consumer wants no more rows. A worker stops at its next portion.</summary>
    internal bool IsOver => _over;

    /// <summary>How many connections a worker may look at in one turn.</summary>
    /// <param name="most">The number that the worker would look at.</param>
    internal int Portion(int most) => _broadcast is null ? most : Math.Min(most, _broadcast.Portion);

    /// <summary>From the worker's thread: does what a broadcast asks for. False when the connection gets no row.</summary>
    internal bool Meet(Connection connection) => _broadcast is null || _broadcast.Reach(connection);

    /// <summary>
    /// Takes the next portion. False when the walk is over: either all workers have finished, or none of the unfinished workers has answered
    /// for <paramref name="timeout"/>. In the second case <see cref="SilentWorkers"/> names the unfinished workers.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="InvalidOperationException">The caller is one of the server's own threads, and would wait for itself.</exception>
    public bool TryTake(TimeSpan timeout, CancellationToken cancel, [NotNullWhen(true)] out IReadOnlyList<ConnectionInfo>? portion)
    {
        _pool.RefuseOwnThread();
        while (_asked.Count > 0)
        {
            if (!_messages.TryTake(out Message message, (int)timeout.TotalMilliseconds, cancel))
            {
                SilentWorkers = [.. _asked.Select(static worker => worker.Id)];
                _asked.Clear();
                _over = true;
                break;
            }

            if (message.Rows is { } rows)
            {
                portion = rows;
                return true;
            }

            _asked.Remove(message.Worker!);
            if (_asked.Count == 0 && _broadcast is not null && !_pool.IsUnmovedSince(_movesBefore) && _rounds > 0)
            {
                // A connection that migrated meanwhile may have been seen by neither of its two workers. Such a miss is allowed for a row, but the
                // connection would also miss the broadcast's bytes, so the workers are asked again.
                Ask();
            }
        }

        portion = null;
        return false;
    }

    /// <summary>Makes workers stop making rows for this walk.</summary>
    public void Dispose()
    {
        // The collection is not disposed of, because workers may still be about to add to it.
        _over = true;
    }

    /// <summary>From a worker's thread: adds a portion of rows.</summary>
    internal void Add(List<ConnectionInfo>? rows)
    {
        if (rows is not null)
        {
            _messages.Add(new Message(null, rows));
        }
    }

    /// <summary>The worker has finished. Called on the worker's thread, or on another thread if the worker has ended.</summary>
    internal void Finish(Worker worker) => _messages.Add(new Message(worker, null));

    private void Ask()
    {
        _rounds--;
        _movesBefore = _pool.Moves;
        IReadOnlyList<Worker> workers = _pool.All;
        foreach (Worker worker in workers)
        {
            if (Filter.Workers is null || Filter.Workers.Contains(worker.Id))
            {
                _asked.Add(worker);
            }
        }

        foreach (Worker worker in workers)
        {
            if (_asked.Contains(worker) && !worker.Post(new Command(CommandKind.Walk, Subject: this)))
            {
                Finish(worker);
            }
        }
    }

    private readonly record struct Message(Worker? Worker, IReadOnlyList<ConnectionInfo>? Rows);
}
