using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>The kernel's state of a TCP connection, with the kernel's numbers.</summary>
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

    /// <summary>This end has finished; the peer has not acknowledged that.</summary>
    FinWait1,

    /// <summary>This end has finished, and the peer knows.</summary>
    FinWait2,

    /// <summary>Both have finished; late packets are waited for.</summary>
    TimeWait,

    /// <summary>Over.</summary>
    Close,

    /// <summary>The peer has finished; this end has not.</summary>
    CloseWait,

    /// <summary>Both have finished; the peer has not acknowledged that.</summary>
    LastAck,

    /// <summary>A listening socket.</summary>
    Listen,

    /// <summary>Both finished at the same time.</summary>
    Closing,
}

/// <summary>What the kernel knows of a connection, see TCP_INFO in tcp(7).</summary>
/// <param name="State">Its state in the kernel.</param>
/// <param name="RttMs">Round-trip time, smoothed, in milliseconds.</param>
/// <param name="RttVarMs">Its variation, in milliseconds.</param>
/// <param name="MinRttMs">The least round-trip time seen, in milliseconds.</param>
/// <param name="Retransmits">Segments sent again in all.</param>
/// <param name="Cwnd">Congestion window, in segments.</param>
/// <param name="Unacked">Segments sent and not acknowledged.</param>
/// <param name="DeliveryRate">Bytes a second, as last measured.</param>
public sealed record TcpDetails(
    TcpState State, double RttMs, double RttVarMs, double MinRttMs, long Retransmits, long Cwnd, long Unacked, long DeliveryRate)
{
    /// <summary>Of a connection's descriptor, on its worker's thread. Null for what is no TCP socket, and in a kernel from before 4.9.</summary>
    internal static TcpDetails? Read(int fd) => TcpInfo.Read(fd) is { } info
        ? new(
            (TcpState)info.State, info.RttMs, info.RttVarMs, info.MinRttMs, info.Retransmits, info.Cwnd, info.Unacked, info.DeliveryRate)
        : null;
}
