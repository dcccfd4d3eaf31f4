namespace C10kServer.Engine;

/// <summary>
/// Lets through a few events a second of a kind that a peer can cause at will, and counts the others. A handler that throws ten thousand times
/// a second then costs ten thousand increments. It does not cost as many stack traces, and it does not push all other records out of the log.
/// From any thread, without a lock.
/// </summary>
internal sealed class LogThrottle
{
    /// <summary>The most events that pass in a second. Five are enough to see whether it is always the same event.</summary>
    internal const int Most = 5;

    private const int Window = 1000;
    private const int CountBits = 8;

    // The second in the upper bits, and in the lower bits how many events have passed in it. Both are in one word, so that a new second begins
    // with its first event counted.
    private long _state;
    private long _leftOut;

    /// <summary>Whether the event is to be logged. If it is not, it is counted.</summary>
    internal bool TryPass(long now)
    {
        long second = now / Window;
        while (true)
        {
            long state = Volatile.Read(ref _state);

            // A thread that read the clock a little earlier counts towards the later second, if another thread has begun that second already.
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

    /// <summary>How many events were left out since the last call. Each event is reported once.</summary>
    internal long TakeLeftOut() => Volatile.Read(ref _leftOut) == 0 ? 0 : Interlocked.Exchange(ref _leftOut, 0);
}
