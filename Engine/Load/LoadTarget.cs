using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

/// <summary>The address that a load connects to, and the source addresses that it connects from.</summary>
internal sealed unsafe class LoadTarget
{
    // One source address has some 28,000 ports towards a target (sysctl net.ipv4.ip_local_port_range). connect(2) at first takes only every
    // second port. When those are used up it searches the others, and each call takes ten times as long.
    private const int ConnectionsPerSource = 10_000;

    // The port of a closed connection cannot be used for a minute (TIME_WAIT). 30,000 connections a second need this many source addresses.
    private const int SourcesForChurn = 200;

    private const int IpProtoIp = 0;
    private const int IpBindAddressNoPort = 24;

    private readonly byte[] _address = new byte[SockAddr.MaxLength];
    private readonly uint _length;
    private readonly int _sources;
    private readonly SockAddr _target;
    private readonly bool _mayMeetItself;
    private int _nextSource;

    internal LoadTarget(LoadOptions options)
    {
        EndPoint = options.Target;
        if (options.Target is IPEndPoint ip)
        {
            SockAddr address = SockAddr.From(ip.Address, ip.Port);
            Family = address.Family;
            _length = (uint)address.Write(_address);
            bool isLoopback = Family == SockAddr.AfInet && IPAddress.IsLoopback(ip.Address);
            int wanted = options.Mode == LoadMode.Churn ? SourcesForChurn : 1 + ((options.Connections - 1) / ConnectionsPerSource);
            _sources = isLoopback ? wanted : 1;
            _target = address;

            // A socket that is bound to a source address can connect to itself only if the target is one of the source addresses.
            _mayMeetItself = _sources == 1 || (_address[5] == 0 && _address[6] > 0);
            ResetsWhenDone = options.Mode == LoadMode.Churn && !isLoopback;
        }
        else
        {
            Family = SockAddr.AfUnix;
            fixed (byte* address = _address)
            {
                _length = SockAddr.WriteUnix(((UnixEndPoint)options.Target).Path, address);
            }
        }
    }

    internal EndPoint EndPoint { get; }

    internal int Family { get; }

    /// <summary>
    /// Whether connections that are done are reset. Without resets the ports of the only source address would soon all be in TIME_WAIT. Loopback
    /// has as many source addresses as are needed, so its connections are closed as a client closes them.
    /// </summary>
    internal bool ResetsWhenDone { get; }

    /// <summary>
    /// Opens a non-blocking socket, which is bound to a source address if the load uses several. A value below 0 is the negative errno.
    /// </summary>
    internal int Open()
    {
        int fd = Libc.Socket(Family, Sockets.Stream | Sockets.Nonblock | Sockets.Cloexec, 0);
        if (fd < 0)
        {
            return -Errno.Last;
        }

        int errno = Family == SockAddr.AfUnix ? 0 : Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpNoDelay, 1);
        errno = errno == 0 && _sources > 1 ? BindToSource(fd) : errno;
        if (errno != 0)
        {
            _ = Libc.Close(fd);
            return -errno;
        }

        return fd;
    }

    /// <summary>Begins to connect. 0 when the connect has begun or is done, else the errno.</summary>
    internal int Connect(int fd)
    {
        fixed (byte* address = _address)
        {
            return Libc.Connect(fd, address, _length) == 0 || Errno.Last is Errno.EINPROGRESS or Errno.EINTR ? 0 : Errno.Last;
        }
    }

    /// <summary>
    /// Whether a connection that was just made leads to its own socket. That can happen on a port where no server listens, if the port is in the
    /// range from which the kernel also takes the ports of clients: now and then a socket then connects to itself. Such a socket would echo
    /// faster than any server.
    /// </summary>
    internal bool IsItself(int fd) => _mayMeetItself && Sockets.LocalAddress(fd).Equals(_target);

    /// <summary>
    /// Binds the socket to the next source address: 127.0.1.1 to 127.0.1.250, 127.0.2.1, and so on. All of 127.0.0.0/8 is this machine. The port
    /// is chosen by connect.
    /// </summary>
    private int BindToSource(int fd)
    {
        const int AddressLength = 16;
        const int HostsPerNet = 250;
        int source = _nextSource++ % _sources;
        byte* address = stackalloc byte[AddressLength];
        new Span<byte>(address, AddressLength).Clear();
        *(ushort*)address = SockAddr.AfInet;
        address[4] = 127;
        address[6] = (byte)(1 + (source / HostsPerNet));
        address[7] = (byte)(1 + (source % HostsPerNet));
        int errno = Sockets.SetOption(fd, IpProtoIp, IpBindAddressNoPort, 1);
        return errno != 0 ? errno : Libc.Bind(fd, address, AddressLength) == 0 ? 0 : Errno.Last;
    }
}
