namespace C10kServer;

/// <summary>The states of a connection. Paused reading is a property of its own, not a state.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum ConnectionState
{
    /// <summary>The connection is accepted, and its handler does not know of it yet.</summary>
    Opening = 0,

    /// <summary>Both directions are open.</summary>
    Open = 1,

    /// <summary>The peer has finished sending; this side has not.</summary>
    HalfClosed = 2,

    /// <summary>Closing has begun: output is being flushed, or this side waits for the peer's FIN.</summary>
    Closing = 3,

    /// <summary>The connection is over.</summary>
    Closed = 4,
}
