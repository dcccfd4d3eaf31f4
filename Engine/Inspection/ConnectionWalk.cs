using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// A walk over the connections of a server. Its workers are asked all at once; each makes rows of its own connections in
/// portions, other work between them, and nobody waits for a worker that a handler blocks. A connection that opens or closes meanwhile
/// may or may not be among the rows; each row is right for its moment. One consumer, on any thread but an engine thread.
/// </summary>
public sealed class ConnectionWalk : IDisposable
{
    private readonly BlockingCollection<Message> _messages = [];
    // The workers themselves: one that is leaving may have the id of its successor.
    private readonly HashSet<Worker> _asked = [];
    private readonly WorkerPool _pool;
    private readonly Broadcast? _broadcast;
    private volatile bool _over;

    // How often the workers are asked at most, where connections move all the time.
    private int _rounds = 16;
    private long _movesBefore;

    internal ConnectionWalk(ConnectionQuery filter, WorkerPool pool, Broadcast? broadcast = null)
    {
        Filter = filter;
        _pool = pool;
        _broadcast = broadcast;
        Ask();
    }

    /// <summary>Workers that did not answer within the time that the consumer gave them.</summary>
    public IReadOnlyList<int> SilentWorkers { get; private set; } = [];

    /// <summary>Of a broadcast: whether the connection of a row had too much to take already, and was sent nothing.</summary>
    public bool WasFull(long id) => _broadcast?.WasFull(id) ?? false;

    internal ConnectionQuery Filter { get; }

    /// <summary>The consumer wants no more; a worker stops at its next portion.</summary>
    internal bool IsOver => _over;

    /// <summary>Connections that a worker may look at in one turn, of those that it would.</summary>
    internal int Portion(int most) => _broadcast is null ? most : Math.Min(most, _broadcast.Portion);

    /// <summary>From the worker's thread: what is to be done with a connection is done. False when it gets no row.</summary>
    internal bool Meet(Connection connection) => _broadcast is null || _broadcast.Reach(connection);

    /// <summary>
    /// The next portion. False when the walk is over: all workers have finished, or none of those that have not has answered
    /// for <paramref name="timeout"/>; then <see cref="SilentWorkers"/> names them.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    /// <exception cref="InvalidOperationException">The caller is one of the server's own threads, which would wait for itself.</exception>
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
                // One that changed its worker meanwhile may have been seen by neither: no row is lost by that, but its bytes would be.
                Ask();
            }
        }

        portion = null;
        return false;
    }

    /// <summary>Workers stop making rows for it.</summary>
    public void Dispose()
    {
        // Not the collection: workers may still be about to add to it.
        _over = true;
    }

    /// <summary>From a worker's thread.</summary>
    internal void Add(List<ConnectionInfo>? rows)
    {
        if (rows is not null)
        {
            _messages.Add(new Message(null, rows));
        }
    }

    /// <summary>From a worker's thread, or for one that is over.</summary>
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
