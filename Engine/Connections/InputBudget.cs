namespace C10kServer.Engine;

/// <summary>
/// The limit of what all connections of a worker together may hold of unfinished input. Each connection has a maximum of its own, but ten
/// thousand of these maxima are too much (pitfall 54). Above the budget, the connections that hold most are not read any more until others
/// have finished their messages. If that does not help, the connections that hold most are closed with
/// <see cref="CloseReason.MessageTooLong"/>.
/// <para>
/// A check goes over all connections. It is due when the sum has grown by a part of the budget since the last check, and ten times a second
/// while some connections are paused. Below the budget it costs one comparison per buffer that grows. Belongs to its worker's thread.
/// </para>
/// </summary>
internal sealed class InputBudget(Worker worker, ConnectionTable table) : ITimed
{
    private const int LookInterval = 100;

    // The milliseconds that the other connections get to finish their messages.
    private const int Grace = 5_000;

    private const int LogInterval = 1_000;

    // The length of a connection's array is a power of two, so there are as many sizes as an Int32 has bits.
    private const int Sizes = 32;

    private readonly long[] _heldBySize = new long[Sizes];
    private long _limit;
    private long _pausedSince = Clock.Never;
    private long _nextLogAt;

    // The connections closed since they were last logged.
    private int _closed;

    ITimed? ITimed.Next { get; set; }

    ITimed? ITimed.Previous { get; set; }

    uint ITimed.Due { get; set; }

    /// <summary>The sum above which a buffer that has grown calls <see cref="OnGrowth"/>.</summary>
    internal long NextLook { get; private set; }

    private bool IsPausing => _pausedSince != Clock.Never;

    private long Held => worker.Inputs.Held;

    // Below this sum there is room again.
    private long Relieved => _limit / 4 * 3;

    /// <summary>Sets the budget, in bytes.</summary>
    internal void Configure(long limit)
    {
        _limit = limit;
        NextLook = limit;
    }

    /// <summary>Called when the sum has passed <see cref="NextLook"/>. Called outside of all callbacks.</summary>
    internal void OnGrowth()
    {
        if (IsPausing)
        {
            // The paused connections do not grow. Others do, and do not finish their messages.
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

    /// <summary>Pauses the connections that hold most, until the ones that are still read hold at most half of the budget.</summary>
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

    /// <summary>Closes the connections that hold most, until there is room again.</summary>
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

    /// <summary>Adds up what the connections hold, by the size of their arrays. Returns the sum.</summary>
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

    // -1 for a connection that holds nothing.
    private static int SizeOf(Connection connection) =>
        connection.InputHeld == 0 ? -1 : System.Numerics.BitOperations.Log2((uint)connection.InputHeld);
}
