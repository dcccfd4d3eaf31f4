namespace C10kServer.Engine;

/// <summary>
/// So many accepts a second and no more, evenly: a token bucket that holds a tenth of a second's worth. Connects beyond wait in the
/// kernel's queue. Belongs to the Listener's thread.
/// </summary>
internal sealed class AcceptRateLimiter(long now)
{
    private double _tokens;
    private long _filledAt = now;

    /// <summary>Takes a token; or says, as a positive number, in how many milliseconds there will be one.</summary>
    internal int Take(int perSecond, long now)
    {
        double most = Math.Max(1, perSecond / 10.0);
        _tokens = Math.Min(most, _tokens + ((now - _filledAt) * perSecond / 1000.0));
        _filledAt = now;
        if (_tokens >= 1)
        {
            _tokens--;
            return 0;
        }

        return (int)Math.Ceiling((1 - _tokens) * 1000 / perSecond);
    }
}
