using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Clients;

/// <summary>Where the connections go, and the addresses that they come from.</summary>
internal sealed class Target
{
    private readonly byte[] _destination;
    private readonly byte[][] _sources;

    /// <param name="sources">
    /// Over how many addresses, from 127.0.0.1 on, to spread: one address has some 28,000 ports to a destination, fewer
    /// while earlier ones are in TIME_WAIT. IPv6 has the one loopback address.
    /// </param>
    public Target(IPAddress address, int port, int sources)
    {
        Address = address;
        Port = port;
        Family = address.AddressFamily == AddressFamily.InterNetworkV6 ? Libc.InterNetworkV6 : Libc.InterNetwork;
        _destination = Make(address, port);
        _sources = Family == Libc.InterNetworkV6
            ? [Make(IPAddress.IPv6Loopback, 0)]
            : [.. Enumerable.Range(1, sources).Select(i => Make(new IPAddress([127, 0, (byte)(i >> 8), (byte)i]), 0))];
    }

    public IPAddress Address { get; }

    public int Port { get; }

    public int Family { get; }

    /// <summary>Begins to connect a non-blocking socket; 0 or the errno (EINPROGRESS as a rule).</summary>
    public int Connect(int fd, int connection)
    {
        byte[] source = _sources[connection % _sources.Length];

        // The port is chosen at connect, when the destination is known, and so can be shared between source addresses.
        Libc.SetInt(fd, Libc.LevelIP, Libc.BindAddressNoPort, 1);
        if (Libc.Bind(fd, ref source[0], (uint)source.Length) < 0 || Libc.Connect(fd, ref _destination[0], (uint)_destination.Length) < 0)
        {
            return System.Runtime.InteropServices.Marshal.GetLastPInvokeError();
        }

        return 0;
    }

    /// <summary>
    /// Whether the socket is connected to itself: where nobody listens on a port of the ephemeral range, a connect from that
    /// very address and port meets itself, and would echo without a fault.
    /// </summary>
    public bool IsItself(int fd)
    {
        Span<byte> local = stackalloc byte[28];
        uint length = (uint)local.Length;
        return Libc.GetSocketName(fd, ref local[0], ref length) == 0 && length == _destination.Length
            && local[..(int)length].SequenceEqual(_destination);
    }

    private static byte[] Make(IPAddress address, int port)
    {
        // sockaddr_in: family, port, address, padding; sockaddr_in6: family, port, flow, address, scope.
        bool v6 = address.AddressFamily == AddressFamily.InterNetworkV6;
        var bytes = new byte[v6 ? 28 : 16];
        BitConverter.TryWriteBytes(bytes, (ushort)(v6 ? Libc.InterNetworkV6 : Libc.InterNetwork));
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)port);
        address.TryWriteBytes(bytes.AsSpan(v6 ? 8 : 4), out _);
        return bytes;
    }
}
