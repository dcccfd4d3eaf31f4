namespace C10kServer;

/// <summary>The kernel's state of a TCP connection, with the kernel's numbers.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum TcpState
{
    /// <summary>Not known.</summary>
    Unknown = Engine.TcpState.Unknown,

    /// <summary>Both directions are open.</summary>
    Established = Engine.TcpState.Established,

    /// <summary>A connect is under way.</summary>
    SynSent = Engine.TcpState.SynSent,

    /// <summary>A connection is being accepted.</summary>
    SynReceived = Engine.TcpState.SynReceived,

    /// <summary>This end has finished; the peer has not acknowledged that.</summary>
    FinWait1 = Engine.TcpState.FinWait1,

    /// <summary>This end has finished, and the peer knows.</summary>
    FinWait2 = Engine.TcpState.FinWait2,

    /// <summary>Both have finished; late packets are waited for.</summary>
    TimeWait = Engine.TcpState.TimeWait,

    /// <summary>Over.</summary>
    Close = Engine.TcpState.Close,

    /// <summary>The peer has finished; this end has not.</summary>
    CloseWait = Engine.TcpState.CloseWait,

    /// <summary>Both have finished; the peer has not acknowledged that.</summary>
    LastAck = Engine.TcpState.LastAck,

    /// <summary>A listening socket.</summary>
    Listen = Engine.TcpState.Listen,

    /// <summary>Both finished at the same time.</summary>
    Closing = Engine.TcpState.Closing,
}
