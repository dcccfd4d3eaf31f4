using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>A bound and listening socket. Made by whoever starts the server, then the Listener's thread owns it and closes it.</summary>
internal sealed class ListeningSocket : IDisposable
{
    // A peer that answers none of so many is gone; together they take about as long as the idle time before them.
    private const int KeepAliveProbes = 5;

    private readonly Descriptor _descriptor;
    private readonly bool _wildcard;

    private ListeningSocket(Descriptor descriptor, IPEndPoint endPoint)
    {
        _descriptor = descriptor;
        EndPoint = endPoint;
        _wildcard = endPoint.Address.Equals(IPAddress.Any) || endPoint.Address.Equals(IPAddress.IPv6Any);
    }

    /// <summary>As bound: with the port that the kernel chose where 0 was asked for.</summary>
    internal IPEndPoint EndPoint { get; }

    internal int Fd => _descriptor.Fd;

    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    internal static unsafe ListeningSocket Open(IPAddress address, int port, ServerOptions options)
    {
        var endPoint = new IPEndPoint(address, port);
        SockAddr wanted = SockAddr.From(address, port);
        int fd = Libc.Socket(wanted.Family, Sockets.Stream | Sockets.Nonblock | Sockets.Cloexec, 0);
        if (fd < 0)
        {
            throw ServerStartException.For(endPoint, "socket", Errno.Last);
        }

        var descriptor = new Descriptor(fd);
        try
        {
            // Without it, connections in TIME_WAIT keep a restarted server off its port. A second listener is refused all the
            // same (pitfall 23).
            Check("setsockopt(SO_REUSEADDR)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoReuseAddr, 1));
            if (wanted.Family == SockAddr.AfInet6)
            {
                // The default is the machine's (net.ipv6.bindv6only), so it is said (pitfall 47).
                bool dual = options.DualMode && address.Equals(IPAddress.IPv6Any);
                Check("setsockopt(IPV6_V6ONLY)", Sockets.SetOption(fd, Sockets.IpProtoIpv6, Sockets.Ipv6Only, dual ? 0 : 1));
            }

            if (options.NoDelay)
            {
                // Accepted sockets inherit it on Linux: one call instead of one a connection (pitfall 33).
                Check("setsockopt(TCP_NODELAY)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpNoDelay, 1));
            }

            // These too are inherited by what is accepted.
            if (options.KeepAliveTime > TimeSpan.Zero)
            {
                int seconds = Math.Max(1, (int)options.KeepAliveTime.TotalSeconds);
                Check("setsockopt(SO_KEEPALIVE)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoKeepAlive, 1));
                Check("setsockopt(TCP_KEEPIDLE)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepIdle, seconds));
                Check("setsockopt(TCP_KEEPINTVL)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepInterval, Math.Max(1, seconds / KeepAliveProbes)));
                Check("setsockopt(TCP_KEEPCNT)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepCount, KeepAliveProbes));
            }

            if (options.UserTimeout > TimeSpan.Zero)
            {
                Check("setsockopt(TCP_USER_TIMEOUT)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpUserTimeout, (int)options.UserTimeout.TotalMilliseconds));
            }

            byte* bytes = stackalloc byte[SockAddr.MaxLength];
            int length = wanted.Write(new Span<byte>(bytes, SockAddr.MaxLength));
            Check("bind", Libc.Bind(fd, bytes, (uint)length) == 0 ? 0 : Errno.Last);
            Check("listen", Libc.Listen(fd, options.Backlog) == 0 ? 0 : Errno.Last);
            SockAddr bound = Sockets.LocalAddress(fd);
            Check("getsockname", bound.Family != 0 ? 0 : Errno.Last);
            return new ListeningSocket(descriptor, bound.ToEndPoint());
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }

        void Check(string call, int errno)
        {
            if (errno != 0)
            {
                throw ServerStartException.For(endPoint, call, errno);
            }
        }
    }

    /// <summary>This end's address of a connection that was accepted here. On the thread that owns the descriptor.</summary>
    internal IPEndPoint LocalEndPointOf(int fd) => _wildcard ? Sockets.LocalAddress(fd).ToEndPoint() : EndPoint;

    public void Dispose() => _descriptor.Dispose();
}
