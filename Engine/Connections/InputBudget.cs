namespace C10kServer.Engine;

/// <summary>
/// What all connections of a worker together may hold of unfinished input: each has a maximum of its own, and ten thousand of these are
/// too much (pitfall 54). Above the budget the largest are not read any more, until others have finished their messages. Where that does not
/// help, the largest are closed with <see cref="CloseReason.MessageTooLong"/>.
/// <para>
/// A look goes over all connections. It is due when the sum has grown by a part of the budget since the last one, and ten times a second while
/// some are paused: below the budget it costs one comparison a buffer that grows. Belongs to its worker's thread.
/// </para>
/// </summary>
internal sealed class InputBudget(Worker worker, ConnectionTable table) : ITimed
{
    private const int LookInterval = 100;

    // For the others to finish.
    private const int Grace = 5_000;

    private const int LogInterval = 1_000;

    // A connection's array is a power of two: as many sizes as an Int32 has bits.
    private const int Sizes = 32;

    private readonly long[] _heldBySize = new long[Sizes];
    private long _limit;
    private long _pausedSince = Clock.Never;
    private long _nextLogAt;

    // Closed since that was last logged.
    private int _closed;

    ITimed? ITimed.Next { get; set; }

    ITimed? ITimed.Previous { get; set; }

    uint ITimed.Due { get; set; }

    /// <summary>The sum above which a buffer that has grown calls <see cref="OnGrowth"/>.</summary>
    internal long NextLook { get; private set; }

    private bool IsPausing => _pausedSince != Clock.Never;

    private long Held => worker.Inputs.Held;

    // Below it there is room again.
    private long Relieved => _limit / 4 * 3;

    /// <summary>Sets the budget, in bytes.</summary>
    internal void Configure(long limit)
    {
        _limit = limit;
        NextLook = limit;
    }

    /// <summary>The sum has passed <see cref="NextLook"/>. Outside of all callbacks.</summary>
    internal void OnGrowth()
    {
        if (IsPausing)
        {
            // What is paused does not grow: others do, and do not finish.
            CloseLargest();
        }
        else
        {
            PauseLargest();
            _pausedSince = worker.Now;
            worker.Timers.Schedule(this, worker.Now + LookInterval);
        }

        NextLook = Math.Max(_limit, Held + _limit / 8);
    }

    void ITimed.OnDeadline(long now)
    {
        try
        {
            Look(now);
        }
        catch (OutOfMemoryException)
        {
            worker.OnMemoryExhausted();
            worker.Timers.Schedule(this, now + LookInterval);
        }
    }

    private void Look(long now)
    {
        bool isGraceOver = now >= _pausedSince + Grace;
        if (isGraceOver && Held > _limit)
        {
            CloseLargest();
        }

        if (isGraceOver || Held <= Relieved)
        {
            Resume();
        }
        else
        {
            worker.Timers.Schedule(this, now + LookInterval);
        }
    }

    /// <summary>Pauses the largest, until those that are still read hold half of the budget at most.</summary>
    private void PauseLargest()
    {
        long read = Sort();
        for (int size = Sizes - 1; size >= 0 && read > _limit / 2; size--)
        {
            for (int slot = 0; slot < table.Capacity && _heldBySize[size] > 0 && read > _limit / 2; slot++)
            {
                if (table.At(slot) is { } connection && SizeOf(connection) == size)
                {
                    connection.PauseByBudget();
                    read -= connection.InputHeld;
                    _heldBySize[size] -= connection.InputHeld;
                }
            }
        }
    }

    /// <summary>Closes the largest, until there is room again.</summary>
    private void CloseLargest()
    {
        Sort();
        for (int size = Sizes - 1; size >= 0 && Held > Relieved; size--)
        {
            for (int slot = 0; slot < table.Capacity && _heldBySize[size] > 0 && Held > Relieved; slot++)
            {
                if (table.At(slot) is { } connection && SizeOf(connection) == size)
                {
                    _heldBySize[size] -= connection.InputHeld;
                    connection.CloseByBudget();
                    _closed++;
                }
            }
        }

        if (worker.Now >= _nextLogAt)
        {
            _nextLogAt = worker.Now + LogInterval;
            worker.OnInputBudgetExceeded(_closed, _limit);
            _closed = 0;
        }
    }

    private void Resume()
    {
        for (int slot = 0; slot < table.Capacity; slot++)
        {
            table.At(slot)?.ResumeByBudget();
        }

        _pausedSince = Clock.Never;
        NextLook = _limit;
    }

    /// <summary>Adds up what connections hold, by the size of their arrays. Returns the sum.</summary>
    private long Sort()
    {
        Array.Clear(_heldBySize);
        long sum = 0;
        for (int slot = 0; slot < table.Capacity; slot++)
        {
            if (table.At(slot) is { InputHeld: > 0 and var held } connection)
            {
                _heldBySize[SizeOf(connection)] += held;
                sum += held;
            }
        }

        return sum;
    }

    // -1 for none.
    private static int SizeOf(Connection connection) =>
        connection.InputHeld == 0 ? -1 : System.Numerics.BitOperations.Log2((uint)connection.InputHeld);
}
