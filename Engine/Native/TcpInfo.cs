using System.Runtime.CompilerServices;

namespace C10kServer.Engine.Native;

/// <summary>Reads TCP_INFO, see tcp(7). The offsets are those of struct tcp_info in linux/tcp.h, which only ever grows at its end.</summary>
internal static unsafe class TcpInfo
{
    private const int Option = 11;
    private const int Size = 168;

    private const int OffsetState = 0;
    private const int OffsetUnacked = 24;
    private const int OffsetRtt = 68;
    private const int OffsetRttVar = 72;
    private const int OffsetCwnd = 80;
    private const int OffsetTotalRetrans = 100;
    private const int OffsetMinRtt = 148;
    private const int OffsetDeliveryRate = 160;

    // The kernel's value of the least round-trip time before any was measured.
    private const uint NotMeasured = uint.MaxValue;

    private const double MicrosecondsPerMillisecond = 1000;

    /// <summary>What the kernel says of a connection. Null if the descriptor is not a TCP socket, and in a kernel from before 4.9.</summary>
    internal static Fields? Read(int fd)
    {
        byte* info = stackalloc byte[Size];
        uint length = Size;
        if (Libc.GetSockOpt(fd, Sockets.IpProtoTcp, Option, info, &length) != 0 || length < Size)
        {
            return null;
        }

        return new Fields(
            info[OffsetState],
            UInt32(info, OffsetRtt) / MicrosecondsPerMillisecond,
            UInt32(info, OffsetRttVar) / MicrosecondsPerMillisecond,
            UInt32(info, OffsetMinRtt) is var least and not NotMeasured ? least / MicrosecondsPerMillisecond : 0,
            UInt32(info, OffsetTotalRetrans),
            UInt32(info, OffsetCwnd),
            UInt32(info, OffsetUnacked),
            Unsafe.ReadUnaligned<long>(info + OffsetDeliveryRate));
    }

    /// <summary>The number of connections that a listening socket has not accepted yet; null if the kernel does not tell.</summary>
    internal static int? ReadQueueLength(int fd)
    {
        // For a listening socket, this field is the length of its queue.
        byte* info = stackalloc byte[Size];
        uint length = Size;
        return Libc.GetSockOpt(fd, Sockets.IpProtoTcp, Option, info, &length) == 0 && length > OffsetUnacked
            ? (int)UInt32(info, OffsetUnacked)
            : null;
    }

    /// <param name="State">The kernel's number of the connection's state.</param>
    /// <param name="RttMs">Round-trip time, smoothed, in milliseconds.</param>
    /// <param name="RttVarMs">Variation of the round-trip time, in milliseconds.</param>
    /// <param name="MinRttMs">The least round-trip time seen, in milliseconds.</param>
    /// <param name="Retransmits">Segments sent again in all.</param>
    /// <param name="Cwnd">Congestion window, in segments.</param>
    /// <param name="Unacked">Segments sent and not acknowledged.</param>
    /// <param name="DeliveryRate">Bytes a second, as last measured.</param>
    internal readonly record struct Fields(
        byte State, double RttMs, double RttVarMs, double MinRttMs, long Retransmits, long Cwnd, long Unacked, long DeliveryRate);

    private static uint UInt32(byte* info, int offset) => Unsafe.ReadUnaligned<uint>(info + offset);
}
