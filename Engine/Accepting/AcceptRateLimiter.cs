namespace C10kServer.Engine;

/// <summary>
/// So many accepts a second and no more, evenly: a token bucket that holds a tenth of a second's worth. Connects beyond wait in the
/// kernel's queue. One for all acceptors of a server, and so under a lock, which is taken where the limit is set alone.
/// </summary>
internal sealed class AcceptRateLimiter(long now)
{
    private readonly Lock _lock = new();
    private double _tokens;
    private long _filledAt = now;

    /// <summary>Takes a token; or says, as a positive number, in how many milliseconds there will be one.</summary>
    internal int Take(int perSecond, long now)
    {
        lock (_lock)
        {
            double most = Math.Max(1, perSecond / 10.0);

            // Each thread reads the clock once a turn: another one may be a little behind.
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
