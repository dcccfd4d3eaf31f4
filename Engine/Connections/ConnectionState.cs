namespace C10kServer.Engine;

/// <summary>The states of a <see cref="Connection"/>. Paused reading is a property beside the state and not a state.</summary>
public enum ConnectionState : byte
{
    /// <summary>Accepted, but not shown to its handler yet.</summary>
    Opening,

    /// <summary>Both directions are open.</summary>
    Open,

    /// <summary>The peer has finished sending; this side has not.</summary>
    HalfClosed,

    /// <summary>Closing has begun: output is being flushed, or the peer's FIN is awaited.</summary>
    Closing,

    /// <summary>The connection has ended.</summary>
    Closed,
}
