namespace C10kServer;

/// <summary>Where a connection is in its life. Paused reading is a property beside it, not a state.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum ConnectionState
{
    /// <summary>Accepted, and not yet shown to its handler.</summary>
    Opening = Engine.ConnectionState.Opening,

    /// <summary>Both directions are open.</summary>
    Open = Engine.ConnectionState.Open,

    /// <summary>The peer has finished sending; this side has not.</summary>
    HalfClosed = Engine.ConnectionState.HalfClosed,

    /// <summary>Closing has begun: output is being flushed, or the peer's FIN is awaited.</summary>
    Closing = Engine.ConnectionState.Closing,

    /// <summary>Over.</summary>
    Closed = Engine.ConnectionState.Closed,
}
