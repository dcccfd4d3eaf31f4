namespace C10kServer;

/// <summary>Where a connection is in its life. Paused reading is a property beside it, not a state.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum ConnectionState
{
    /// <summary>Accepted, and not yet shown to its handler.</summary>
    Opening = 0,

    /// <summary>Both directions are open.</summary>
    Open = 1,

    /// <summary>The peer has finished sending; this side has not.</summary>
    HalfClosed = 2,

    /// <summary>Closing has begun: output is being flushed, or the peer's FIN is awaited.</summary>
    Closing = 3,

    /// <summary>Over.</summary>
    Closed = 4,
}
