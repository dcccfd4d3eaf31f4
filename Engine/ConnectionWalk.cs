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
    private readonly HashSet<int> _asked = [];
    private volatile bool _over;

    internal ConnectionWalk(ConnectionFilter filter, IReadOnlyList<Worker> workers)
    {
        Filter = filter;
        foreach (Worker worker in workers)
        {
            if (filter.Workers is null || filter.Workers.Contains(worker.Id))
            {
                _asked.Add(worker.Id);
            }
        }

        foreach (Worker worker in workers)
        {
            if (_asked.Contains(worker.Id) && !worker.Post(new Command(CommandKind.Walk, Subject: this)))
            {
                Finish(worker.Id);
            }
        }
    }

    /// <summary>Workers that did not answer within the time that the consumer gave them.</summary>
    public IReadOnlyList<int> SilentWorkers { get; private set; } = [];

    internal ConnectionFilter Filter { get; }

    /// <summary>The consumer wants no more; a worker stops at its next portion.</summary>
    internal bool IsOver => _over;

    /// <summary>
    /// The next portion. False when the walk is over: all workers have finished, or none of those that have not has answered
    /// for <paramref name="timeout"/>; then <see cref="SilentWorkers"/> names them.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool TryTake(TimeSpan timeout, CancellationToken cancel, [NotNullWhen(true)] out IReadOnlyList<ConnectionInfo>? portion)
    {
        while (_asked.Count > 0)
        {
            if (!_messages.TryTake(out Message message, (int)timeout.TotalMilliseconds, cancel))
            {
                SilentWorkers = [.. _asked];
                _asked.Clear();
                _over = true;
                break;
            }

            if (message.Rows is { } rows)
            {
                portion = rows;
                return true;
            }

            _asked.Remove(message.Worker);
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
            _messages.Add(new Message(-1, rows));
        }
    }

    /// <summary>From a worker's thread, or for one that is over.</summary>
    internal void Finish(int worker) => _messages.Add(new Message(worker, null));

    private readonly record struct Message(int Worker, IReadOnlyList<ConnectionInfo>? Rows);
}
