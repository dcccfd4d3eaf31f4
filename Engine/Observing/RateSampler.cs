namespace C10kServer.Engine;

/// <summary>
/// Rates over the last full second, from counters that only grow. The AcceptLoop's thread samples, and any thread reads. A reader may see one
/// rate of the new second together with another rate of the old second.
/// </summary>
internal sealed class RateSampler
{
    internal const int Interval = 1000;

    private long _at;
    private long _accepted;
    private long _received;
    private long _sent;

    internal RateSampler(long now) => _at = now;

    internal double Accepts { get; private set; }

    internal double Receives { get; private set; }

    internal double Sends { get; private set; }

    /// <summary>Milliseconds until the next sample is due.</summary>
    internal int Timeout(long now) => (int)Math.Clamp(_at + Interval - now, 0, Interval);

    /// <summary>Whether a sample is due. Ask this first, because adding up the counters touches memory that every worker writes.</summary>
    internal bool IsDue(long now) => now - _at >= Interval;

    /// <summary>Takes a sample. Call it only when one is due.</summary>
    internal void Sample(long now, long accepted, long received, long sent)
    {
        double seconds = (now - _at) / 1000.0;
        Accepts = (accepted - _accepted) / seconds;
        Receives = (received - _received) / seconds;
        Sends = (sent - _sent) / seconds;
        (_at, _accepted, _received, _sent) = (now, accepted, received, sent);
    }

    /// <summary>Sets all rates to 0, because no bytes flow after the server's end.</summary>
    internal void Stop() => Accepts = Receives = Sends = 0;
}
