namespace C10kServer;

/// <summary>The kernel's state of a TCP connection, with the kernel's numbers.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum TcpState
{
    /// <summary>The state is not known.</summary>
    Unknown = 0,

    /// <summary>Both directions are open.</summary>
    Established = 1,

    /// <summary>A connect is under way.</summary>
    SynSent = 2,

    /// <summary>A connection is being accepted.</summary>
    SynReceived = 3,

    /// <summary>This end has finished; the peer has not acknowledged that.</summary>
    FinWait1 = 4,

    /// <summary>This end has finished, and the peer has acknowledged that.</summary>
    FinWait2 = 5,

    /// <summary>Both ends have finished; this end waits for late packets.</summary>
    TimeWait = 6,

    /// <summary>The connection is over.</summary>
    Close = 7,

    /// <summary>The peer has finished; this end has not.</summary>
    CloseWait = 8,

    /// <summary>Both ends have finished; the peer has not acknowledged that.</summary>
    LastAck = 9,

    /// <summary>The socket is a listening socket.</summary>
    Listen = 10,

    /// <summary>Both ends finished at the same time.</summary>
    Closing = 11,
}
