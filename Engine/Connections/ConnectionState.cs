namespace C10kServer.Engine;

/// <summary>Where a <see cref="Connection"/> is in its life. Paused reading is a property beside it, not a state.</summary>
public enum ConnectionState : byte
{
    /// <summary>Accepted, and not yet shown to its handler.</summary>
    Opening,

    /// <summary>Both directions are open.</summary>
    Open,

    /// <summary>The peer has finished sending; this side has not.</summary>
    HalfClosed,

    /// <summary>Closing has begun: output is being flushed, or the peer's FIN is awaited.</summary>
    Closing,

    /// <summary>Over.</summary>
    Closed,
}
