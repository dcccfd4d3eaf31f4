namespace C10kServer.Engine;

/// <summary>
/// Three times of a connection in sixteen bytes, because there may be tens of thousands of connections: when it was opened and when bytes
/// last moved, both on the engine's clock, and what the wall clock said when it was opened. One clock cannot be computed from the other
/// later, because the wall clock may be set at any time and differs from the engine's clock after a suspend (pitfall 64).
/// </summary>
internal struct Moments
{
    // Milliseconds since the machine has started; 40 bits are enough for 34 years. The rest of both words is the distance to the wall
    // clock.
    private const int ClockBits = 40;
    private const int DistanceBits = 64 - ClockBits;
    private const ulong ClockMask = (1UL << ClockBits) - 1;

    private readonly ulong _started;
    private ulong _lastActivity;

    /// <param name="now">The time on the engine's clock.</param>
    /// <param name="wallClock">The wall clock, in milliseconds since 1970.</param>
    internal Moments(long now, long wallClock)
    {
        var distance = (ulong)(wallClock - now);
        _started = ((ulong)now & ClockMask) | (distance << ClockBits);
        _lastActivity = ((ulong)now & ClockMask) | ((distance >> DistanceBits) << ClockBits);
    }

    /// <summary>When the connection was opened, on the engine's clock.</summary>
    internal readonly long Started => (long)(_started & ClockMask);

    /// <summary>When bytes last moved, on the engine's clock.</summary>
    internal long LastActivity
    {
        readonly get => (long)(_lastActivity & ClockMask);
        set => _lastActivity = (_lastActivity & ~ClockMask) | ((ulong)value & ClockMask);
    }

    /// <summary>What the wall clock said when the connection was opened, in milliseconds since 1970.</summary>
    internal readonly long StartedOn
    {
        get
        {
            ulong distance = (_started >> ClockBits) | ((_lastActivity >> ClockBits) << DistanceBits);

            // The sign of the distance is in the highest of its 48 bits.
            return Started + ((long)(distance << (64 - (2 * DistanceBits))) >> (64 - (2 * DistanceBits)));
        }
    }
}
