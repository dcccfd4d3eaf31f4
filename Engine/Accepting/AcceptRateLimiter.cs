namespace C10kServer.Engine;

/// <summary>
/// Limits the accepts per second, and spreads them evenly: a token bucket that holds the tokens of a tenth of a second. Connects beyond the
/// limit wait in the kernel's queue. All acceptors of a server share one limiter. It therefore has a lock, which is taken only if the limit
/// is set.
/// </summary>
internal sealed class AcceptRateLimiter(long now)
{
    private readonly Lock _lock = new();
    private double _tokens;
    private long _filledAt = now;

    /// <summary>
    /// Takes a token and returns 0. If there is no token, returns the milliseconds until there will be one, as a positive number.
    /// </summary>
    internal int Take(int perSecond, long now)
    {
        lock (_lock)
        {
            double most = Math.Max(1, perSecond / 10.0);

            // Each thread reads the clock once a turn, so another thread may be a little behind.
            long since = Math.Max(0, now - _filledAt);
            _tokens = Math.Min(most, _tokens + (since * perSecond / 1000.0));
            _filledAt += since;
            if (_tokens >= 1)
            {
                _tokens--;
                return 0;
            }

            return (int)Math.Ceiling((1 - _tokens) * 1000 / perSecond);
        }
    }
}
