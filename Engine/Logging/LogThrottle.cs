namespace C10kServer.Engine;

/// <summary>
/// Lets through a few events a second of a kind that a peer can cause at will, and counts the others: a handler that throws ten
/// thousand times a second costs ten thousand increments, and neither as many stack traces nor everything else in the log. From any
/// thread, without a lock.
/// </summary>
internal sealed class LogThrottle
{
    /// <summary>Events a second. Enough to see whether it is always the same one.</summary>
    internal const int Most = 5;

    private const int Window = 1000;
    private const int CountBits = 8;

    // The second, and behind it how many it has let through: one word, so that a new second begins with its first event counted.
    private long _state;
    private long _leftOut;

    /// <summary>Whether this one is to be logged. If not, it is counted.</summary>
    internal bool TryPass(long now)
    {
        long second = now / Window;
        while (true)
        {
            long state = Volatile.Read(ref _state);

            // A thread that has read the clock a little earlier belongs to the second that another one has begun.
            bool begun = state >> CountBits >= second;
            if (begun && (state & ((1 << CountBits) - 1)) >= Most)
            {
                Interlocked.Increment(ref _leftOut);
                return false;
            }

            long next = begun ? state + 1 : (second << CountBits) + 1;
            if (Interlocked.CompareExchange(ref _state, next, state) == state)
            {
                return true;
            }
        }
    }

    /// <summary>How many were left out since this was last asked. Each is told once.</summary>
    internal long TakeLeftOut() => Volatile.Read(ref _leftOut) == 0 ? 0 : Interlocked.Exchange(ref _leftOut, 0);
}
