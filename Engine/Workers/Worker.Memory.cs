namespace C10kServer.Engine;

// What a worker does when an allocation fails. All of it runs on the loop's thread.
internal sealed unsafe partial class Worker
{
    // Each list of connections has room for this many from the start. If a list cannot grow, at least this many connections are served per
    // turn.
    private const int LeastListCapacity = 64;

    private const int MemoryLogInterval = 1000;

    // Failures since they were last logged.
    private long _memoryFailures;
    private long _nextMemoryLogAt;

    // How many slots Recover still has to visit, and how far it has come.
    private int _recoveryLeft;
    private int _recoverySlot;

    /// <summary>
    /// An allocation for a connection has failed. The failure costs that connection, which is reset and gives back what it holds, because
    /// the memory of one connection is often what the others lack. Allocates nothing.
    /// </summary>
    internal void OnMemoryExhausted(Connection connection)
    {
        OnMemoryExhausted();
        connection.AbortForMemory();
    }

    /// <summary>
    /// An allocation has failed, and its connection cannot be named, has ended, or could not be put into a list. All connections are marked
    /// again, so that none of them misses what was due. Allocates nothing.
    /// </summary>
    internal void OnMemoryExhausted()
    {
        _memoryFailures++;
        _recoveryLeft = _table.Capacity;
    }

    /// <summary>Returns false if the list cannot grow for lack of memory. The connection is then marked again later.</summary>
    internal bool AddToReady(Connection connection) => TryAdd(_ready, connection);

    /// <inheritdoc cref="AddToReady"/>
    internal bool AddToReap(Connection connection) => TryAdd(_reap, connection);

    /// <inheritdoc cref="AddToReady"/>
    internal bool AddToSync(Connection connection) => TryAdd(_sync, connection);

    private bool TryAdd(Queue<Connection> list, Connection connection)
    {
        if (list.Count == list.Capacity && !HasGrown(list))
        {
            return false;
        }

        list.Enqueue(connection);
        return true;
    }

    private bool HasGrown(Queue<Connection> list)
    {
        try
        {
            list.EnsureCapacity(list.Count + 1);
            return true;
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();
            return false;
        }
    }

    /// <summary>
    /// Runs a turn. An allocation that fails outside of a connection's own work costs the rest of the turn, and the loop goes on.
    /// </summary>
    private void TryTurn()
    {
        try
        {
            Turn();
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();

            // The event of the mailbox is edge-triggered and may have been in the lost part of the batch. All other events come again.
            _mailboxPending = true;
        }
    }

    /// <summary>Called after failed allocations. Marks as many connections again as the lists take, and logs how many allocations failed.</summary>
    private void Recover()
    {
        if (_memoryFailures > 0 && Now >= _nextMemoryLogAt)
        {
            LogMemoryFailures();
        }

        for (; _recoveryLeft > 0 && _ready.Count < _ready.Capacity && _sync.Count < _sync.Capacity; _recoveryLeft--)
        {
            _recoverySlot = _recoverySlot + 1 < _table.Capacity ? _recoverySlot + 1 : 0;
            _table.At(_recoverySlot)?.MarkAgain();
        }
    }

    // The failure is not logged where the allocation failed, because a log record takes memory, too.
    private void LogMemoryFailures()
    {
        _nextMemoryLogAt = Now + MemoryLogInterval;
        long failures = _memoryFailures;
        try
        {
            _server.OnMemoryExhausted(Id, failures);
            _memoryFailures -= failures;
        }
        catch (OutOfMemoryException)
        {
            // The count stays, and the next try comes a second later.
        }
    }
}
