namespace C10kServer;

/// <summary>The kernel's state of a TCP connection, with the kernel's numbers.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum TcpState
{
    /// <summary>Not known.</summary>
    Unknown = 0,

    /// <summary>Both directions are open.</summary>
    Established = 1,

    /// <summary>A connect is under way.</summary>
    SynSent = 2,

    /// <summary>A connection is being accepted.</summary>
    SynReceived = 3,

    /// <summary>This end has finished; the peer has not acknowledged that.</summary>
    FinWait1 = 4,

    /// <summary>This end has finished, and the peer knows.</summary>
    FinWait2 = 5,

    /// <summary>Both have finished; late packets are waited for.</summary>
    TimeWait = 6,

    /// <summary>Over.</summary>
    Close = 7,

    /// <summary>The peer has finished; this end has not.</summary>
    CloseWait = 8,

    /// <summary>Both have finished; the peer has not acknowledged that.</summary>
    LastAck = 9,

    /// <summary>A listening socket.</summary>
    Listen = 10,

    /// <summary>Both finished at the same time.</summary>
    Closing = 11,
}
