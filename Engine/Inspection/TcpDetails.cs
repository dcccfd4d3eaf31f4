using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>The state of a TCP connection in the kernel. The values are the kernel's numbers.</summary>
public enum TcpState
{
    /// <summary>Not known.</summary>
    Unknown,

    /// <summary>Both directions are open.</summary>
    Established,

    /// <summary>A connect is under way.</summary>
    SynSent,

    /// <summary>A connection is being accepted.</summary>
    SynReceived,

    /// <summary>This end has finished sending; the peer has not acknowledged that.</summary>
    FinWait1,

    /// <summary>This end has finished sending, and the peer has acknowledged that.</summary>
    FinWait2,

    /// <summary>Both ends have finished; the kernel waits for late packets.</summary>
    TimeWait,

    /// <summary>The connection is closed.</summary>
    Close,

    /// <summary>The peer has finished sending; this end has not.</summary>
    CloseWait,

    /// <summary>Both ends have finished; the peer has not acknowledged the end of this side.</summary>
    LastAck,

    /// <summary>A listening socket.</summary>
    Listen,

    /// <summary>Both ends finished at the same time.</summary>
    Closing,
}

/// <summary>The kernel's details of a connection, see TCP_INFO in tcp(7).</summary>
/// <param name="State">The connection's state in the kernel.</param>
/// <param name="RttMs">The smoothed round-trip time, in milliseconds.</param>
/// <param name="RttVarMs">The variation of the round-trip time, in milliseconds.</param>
/// <param name="MinRttMs">The least round-trip time seen, in milliseconds.</param>
/// <param name="Retransmits">How many segments were sent again, in all.</param>
/// <param name="Cwnd">The congestion window, in segments.</param>
/// <param name="Unacked">How many segments were sent and are not acknowledged.</param>
/// <param name="DeliveryRate">The delivery rate last measured, in bytes a second.</param>
public sealed record TcpDetails(
    TcpState State, double RttMs, double RttVarMs, double MinRttMs, long Retransmits, long Cwnd, long Unacked, long DeliveryRate)
{
    /// <summary>
    /// Reads the details of a connection's descriptor, on its worker's thread. Null if the descriptor is not a TCP socket, and on kernels older
    /// than 4.9.
    /// </summary>
    internal static TcpDetails? Read(int fd) => TcpInfo.Read(fd) is { } info
        ? new(
            (TcpState)info.State, info.RttMs, info.RttVarMs, info.MinRttMs, info.Retransmits, info.Cwnd, info.Unacked, info.DeliveryRate)
        : null;
}
