using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace C10kServer.Engine.Native;

/// <summary>
/// A socket address in 28 bytes, without a managed object, because ten thousand idle connections each keep one. The port of a sockaddr is
/// in network order. sockaddr_in6 has 28 bytes, with the scope id at 24 (pitfall 41).
/// </summary>
internal readonly struct SockAddr : IEquatable<SockAddr>
{
    internal const int AfUnix = 1;
    internal const int AfInet = 2;
    internal const int AfInet6 = 10;

    /// <summary>The length of sockaddr_storage. Everything that the kernel writes fits into it.</summary>
    internal const int MaxLength = 128;

    /// <summary>The most bytes of a Unix domain socket's path. sun_path has 108 bytes, including a zero at the end.</summary>
    internal const int MaxPathLength = 107;

    private const int Inet4Length = 16;
    private const int Inet6Length = 28;

    private readonly ulong _high;
    private readonly ulong _low;
    private readonly uint _scope;
    private readonly ushort _port;
    private readonly ushort _family;

    private SockAddr(ushort family, ushort port, ulong high, ulong low, uint scope) =>
        (_family, _port, _high, _low, _scope) = (family, port, high, low, scope);

    internal int Family => _family;

    internal int Port => _port;

    /// <summary>Whether there is an address. A client of a Unix domain socket has none.</summary>
    internal bool HasAddress => _family != 0;

    /// <summary>
    /// The network that counts as one client: an IPv4 address, mapped into IPv6 or not, or the first 64 bits of an IPv6 address with the zone.
    /// One client can have all addresses of such a network, because a host chooses the other 64 bits as it likes (pitfall 58).
    /// </summary>
    internal SockAddr Network() => IsIPv4 ? new SockAddr(AfInet, 0, 0, (uint)_low, 0) : new SockAddr(_family, 0, _high, 0, _scope);

    // The address is plain IPv4, or IPv4 that a dual-stack socket has mapped into IPv6 (::ffff:a.b.c.d).
    private bool IsIPv4 => _family == AfInet || (_family == AfInet6 && _high == 0 && _low >> 32 == 0x0000_FFFF);

    /// <summary>Fills a sockaddr_un of MaxLength bytes for the kernel, and returns its length.</summary>
    internal static unsafe uint WriteUnix(string path, byte* address)
    {
        var bytes = new Span<byte>(address, MaxLength);
        bytes.Clear();
        BitConverter.TryWriteBytes(bytes, (ushort)AfUnix);
        int n = Encoding.UTF8.GetBytes(path, bytes[2..(2 + MaxPathLength)]);
        return (uint)(2 + n + 1);
    }

    /// <summary>Reads what the kernel wrote. A family that the engine does not use reads as no address at all.</summary>
    internal static SockAddr Read(ReadOnlySpan<byte> bytes)
    {
        ushort family = bytes.Length >= 2 ? BitConverter.ToUInt16(bytes) : (ushort)0;
        if (family == AfInet && bytes.Length >= 8)
        {
            return new SockAddr(family, BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]), 0, BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]), 0);
        }

        if (family == AfInet6 && bytes.Length >= Inet6Length)
        {
            return new SockAddr(
                family,
                BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]),
                BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
                BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
                BitConverter.ToUInt32(bytes[24..]));
        }

        return default;
    }

    internal static SockAddr From(IPAddress address, int port)
    {
        Span<byte> raw = stackalloc byte[16];
        address.TryWriteBytes(raw, out int written);
        return written == 4
            ? new SockAddr(AfInet, (ushort)port, 0, BinaryPrimitives.ReadUInt32BigEndian(raw), 0)
            : new SockAddr(
                AfInet6,
                (ushort)port,
                BinaryPrimitives.ReadUInt64BigEndian(raw),
                BinaryPrimitives.ReadUInt64BigEndian(raw[8..]),
                (uint)address.ScopeId);
    }

    /// <summary>Fills a sockaddr for the kernel, and returns its length.</summary>
    internal int Write(Span<byte> bytes)
    {
        bytes.Clear();
        BitConverter.TryWriteBytes(bytes, _family);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], _port);
        if (_family == AfInet)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], (uint)_low);
            return Inet4Length;
        }

        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], _high);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[16..], _low);
        BitConverter.TryWriteBytes(bytes[24..], _scope);
        return Inet6Length;
    }

    /// <summary>The address for people. An IPv4 address that is mapped into IPv6 is shown as the IPv4 address that it is (pitfall 47).</summary>
    internal EndPoint ToEndPoint()
    {
        if (IsIPv4)
        {
            Span<byte> raw = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(raw, (uint)_low);
            return new IPEndPoint(new IPAddress(raw), _port);
        }

        if (_family == AfInet6)
        {
            Span<byte> raw = stackalloc byte[16];
            BinaryPrimitives.WriteUInt64BigEndian(raw, _high);
            BinaryPrimitives.WriteUInt64BigEndian(raw[8..], _low);
            return new IPEndPoint(new IPAddress(raw, _scope), _port);
        }

        // A client of a Unix domain socket has no address.
        return new UnixEndPoint("");
    }

    public bool Equals(SockAddr other) =>
        _family == other._family && _port == other._port && _high == other._high && _low == other._low && _scope == other._scope;

    public override bool Equals(object? obj) => obj is SockAddr other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_family, _port, _high, _low, _scope);
}
