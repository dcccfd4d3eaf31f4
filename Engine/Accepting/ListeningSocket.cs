using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A bound and listening socket. The thread that starts the server makes it. Afterwards an Acceptor's thread owns it and closes it.
/// </summary>
internal sealed class ListeningSocket : IDisposable
{
    // A peer that answers none of this many probes is gone. Together the probes take about as long as the idle time before them.
    private const int KeepAliveProbes = 5;

    private readonly Descriptor _descriptor;
    private readonly UnixSocketFile? _file;
    private readonly bool _inherited;
    private readonly bool _wildcard;

    private ListeningSocket(Descriptor descriptor, EndPoint endPoint, UnixSocketFile? file = null, bool inherited = false)
    {
        _descriptor = descriptor;
        _file = file;
        _inherited = inherited;
        EndPoint = endPoint;
        _wildcard = endPoint is IPEndPoint ip && (ip.Address.Equals(IPAddress.Any) || ip.Address.Equals(IPAddress.IPv6Any));
    }

    /// <summary>The address that the socket is bound to. If port 0 was asked for, it has the port that the kernel chose.</summary>
    internal EndPoint EndPoint { get; }

    internal int Fd => _descriptor.Fd;

    // The following properties belong to the thread of the Acceptor that has the socket.

    /// <summary>The data word that epoll returns for the socket.</summary>
    internal ulong Token { get; set; }

    /// <summary>Whether the socket is in the epoll set.</summary>
    internal bool IsWatched { get; set; }

    /// <summary>Whether the socket's worker has left. The socket is closed once its queue is served.</summary>
    internal bool IsLeaving { get; set; }

    /// <summary>Whether the socket keeps its port and does not listen.</summary>
    internal bool IsReserved { get; private set; }

    /// <summary>The time at which the queue that is being drained is given up; 0 while it is not being drained.</summary>
    internal long DrainBy { get; set; }

    /// <summary>How many clients are still taken from the queue that is being drained.</summary>
    internal int DrainMost { get; set; }

    /// <summary>The number of clients in the socket's queue; null if the kernel does not tell.</summary>
    internal int? CountWaiting() => EndPoint is IPEndPoint ? TcpInfo.ReadQueueLength(Fd) : null;

    /// <param name="address">The address to listen on.</param>
    /// <param name="port">The port; 0 for a free one.</param>
    /// <param name="options">The other options.</param>
    /// <param name="reusePort">Whether the socket joins the sockets that <see cref="Share"/> was called for. The kernel deals among them.</param>
    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    internal static ListeningSocket Open(IPAddress address, int port, ServerOptions options, bool reusePort = false)
    {
        var endPoint = new IPEndPoint(address, port);
        SockAddr wanted = SockAddr.From(address, port);

        // The chooser stays bound until the listening socket has the port.
        using Descriptor? chooser = port == 0 ? ChoosePort(address, options, ref wanted) : null;
        var descriptor = new Descriptor(Socket(wanted.Family, errno => ServerStartException.For(endPoint, "socket", errno)));
        try
        {
            int fd = descriptor.Fd;

            // Without it, connections in TIME_WAIT keep a restarted server off its port. A second listener is still refused (pitfall 23).
            Check("setsockopt(SO_REUSEADDR)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoReuseAddr, 1));
            if (reusePort)
            {
                Check("setsockopt(SO_REUSEPORT)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoReusePort, 1));
            }

            Check("setsockopt(IPV6_V6ONLY)", SetDualMode(fd, wanted.Family, address, options));

            SetTcpOptions(fd, options, Check);
            Check("bind", Bind(fd, wanted));
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

    /// <summary>
    /// Lets the sockets of other workers join this socket on its port. The socket listened alone before. Therefore the kernel has refused a
    /// second server that listens there, or the second server was first and ours was refused (pitfall 23). No look at the port decides that
    /// race.
    /// </summary>
    /// <exception cref="ServerStartException">The kernel refuses.</exception>
    internal void Share()
    {
        int errno = Sockets.SetOption(Fd, Sockets.SolSocket, Sockets.SoReusePort, 1);
        if (errno != 0)
        {
            throw ServerStartException.For((IPEndPoint)EndPoint, "setsockopt(SO_REUSEPORT)", errno);
        }
    }

    /// <summary>
    /// Stops listening and keeps the port, so that no client's own socket gets the port before the server starts again. Connects in the
    /// kernel's queue are reset. Returns false if the port cannot be kept; the socket must then be closed.
    /// </summary>
    internal bool Reserve()
    {
        // A socket from systemd belongs to others, too, and a path cannot get lost.
        IsReserved = !_inherited && EndPoint is IPEndPoint && Libc.Shutdown(_descriptor, Sockets.ShutReadWrite) == 0;
        return IsReserved;
    }

    /// <summary>Listens again, for the server that has taken the socket over. Returns 0, or the errno.</summary>
    internal int ListenAgain(ServerOptions options)
    {
        IsReserved = false;
        return Libc.Listen(Fd, options.Backlog) == 0 ? 0 : Errno.Last;
    }

    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    internal static ListeningSocket OpenUnix(string path, ServerOptions options)
    {
        var descriptor = new Descriptor(Socket(SockAddr.AfUnix, errno => ServerStartException.For(path, errno)));
        try
        {
            UnixSocketFile file = UnixSocketFile.Listen(descriptor.Fd, path, options.UnixMode, options.Backlog);
            return new ListeningSocket(descriptor, new UnixEndPoint(path), file);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Listens on a socket that the process was started with, through a descriptor of its own. The descriptor that was passed in stays
    /// open, so that a start that fails afterwards leaves it to the next start. Both descriptors share one socket, so what is set here is
    /// set for both.
    /// </summary>
    /// <exception cref="ServerStartException">The descriptor is not a listening stream socket, or the socket refuses an option.</exception>
    internal static ListeningSocket Adopt(int fd, ServerOptions options)
    {
        if (Sockets.GetOption(fd, Sockets.SolSocket, Sockets.SoAcceptConn) != 1 || Sockets.GetOption(fd, Sockets.SolSocket, Sockets.SoType) != Sockets.Stream)
        {
            throw new ServerStartException(StartFailure.Other, $"Descriptor {fd} is no listening stream socket: the unit that passes it wants ListenStream=.");
        }

        SockAddr bound = Sockets.LocalAddress(fd);
        EndPoint endPoint = bound.HasAddress ? bound.ToEndPoint() : new UnixEndPoint(Sockets.LocalPath(fd));
        int copy = Sockets.Duplicate(fd);
        Check("fcntl(F_DUPFD_CLOEXEC)", copy >= 0 ? 0 : Errno.Last);
        var descriptor = new Descriptor(copy);
        try
        {
            if (bound.HasAddress)
            {
                SetTcpOptions(copy, options, Check);
            }

            Check("fcntl(F_SETFL)", Sockets.SetNonblocking(copy));
            return new ListeningSocket(descriptor, endPoint, inherited: true);
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
                throw ServerStartException.ForInherited(fd, endPoint, call, errno);
            }
        }
    }

    /// <summary>This end's address of a connection that was accepted here. Called on the thread that owns the descriptor.</summary>
    internal EndPoint LocalEndPointOf(int fd) => _wildcard ? Sockets.LocalAddress(fd).ToEndPoint() : EndPoint;

    /// <summary>
    /// Ends listening, and resets the clients that wait. May be called from any thread, besides the owner's. The owner must still close the
    /// descriptor. On Linux, shutdown(2) on a listening socket ends listening for every copy of the descriptor, so a socket that systemd
    /// holds, too, is left alone.
    /// </summary>
    internal void Silence()
    {
        if (_inherited)
        {
            return;
        }

        try
        {
            _file?.Remove();
            _ = Libc.Shutdown(_descriptor, Sockets.ShutReadWrite);
        }
        catch (ObjectDisposedException)
        {
            // The owner has gone on, and was quicker.
        }
    }

    public void Dispose()
    {
        // The file is removed first, because a successor that binds between the two steps would lose its own file.
        if (!_descriptor.IsClosed)
        {
            _file?.Remove();
        }

        _descriptor.Dispose();
    }

    private static int Socket(int family, Func<int, ServerStartException> failure)
    {
        int fd = Libc.Socket(family, Sockets.Stream | Sockets.Nonblock | Sockets.Cloexec, 0);
        return fd >= 0 ? fd : throw failure(Errno.Last);
    }

    /// <summary>
    /// Has the kernel choose a free port. When a socket stops listening, it keeps a port that it was asked to bind to, but loses a port
    /// that was chosen for it. Therefore another socket chooses.
    /// </summary>
    private static Descriptor ChoosePort(IPAddress address, ServerOptions options, ref SockAddr wanted)
    {
        var endPoint = new IPEndPoint(address, 0);
        SockAddr any = wanted;
        var descriptor = new Descriptor(Socket(wanted.Family, errno => ServerStartException.For(endPoint, "socket", errno)));
        try
        {
            int fd = descriptor.Fd;
            Check("setsockopt(SO_REUSEADDR)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoReuseAddr, 1));
            Check("setsockopt(IPV6_V6ONLY)", SetDualMode(fd, any.Family, address, options));
            Check("bind", Bind(fd, any));
            SockAddr chosen = Sockets.LocalAddress(fd);
            Check("getsockname", chosen.Family != 0 ? 0 : Errno.Last);
            wanted = SockAddr.From(address, ((IPEndPoint)chosen.ToEndPoint()).Port);
            return descriptor;
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

    // The default is a setting of the machine (net.ipv6.bindv6only), so the option is always set (pitfall 47).
    private static int SetDualMode(int fd, int family, IPAddress address, ServerOptions options)
    {
        bool dual = options.DualMode && address.Equals(IPAddress.IPv6Any);
        return family == SockAddr.AfInet6 ? Sockets.SetOption(fd, Sockets.IpProtoIpv6, Sockets.Ipv6Only, dual ? 0 : 1) : 0;
    }

    private static unsafe int Bind(int fd, in SockAddr address)
    {
        byte* bytes = stackalloc byte[SockAddr.MaxLength];
        int length = address.Write(new Span<byte>(bytes, SockAddr.MaxLength));
        return Libc.Bind(fd, bytes, (uint)length) == 0 ? 0 : Errno.Last;
    }

    // Accepted sockets inherit these options on Linux, so each option costs one call instead of one per connection. Parts of the kernel's
    // unit are rounded up, because 0 would mean none at all.
    private static void SetTcpOptions(int fd, ServerOptions options, Action<string, int> check)
    {
        if (options.NoDelay)
        {
            // Pitfall 33.
            check("setsockopt(TCP_NODELAY)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpNoDelay, 1));
        }

        if (options.KeepAliveTime > TimeSpan.Zero)
        {
            int seconds = (int)Math.Ceiling(options.KeepAliveTime.TotalSeconds);
            check("setsockopt(SO_KEEPALIVE)", Sockets.SetOption(fd, Sockets.SolSocket, Sockets.SoKeepAlive, 1));
            check("setsockopt(TCP_KEEPIDLE)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepIdle, seconds));
            check("setsockopt(TCP_KEEPINTVL)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepInterval, Math.Max(1, seconds / KeepAliveProbes)));
            check("setsockopt(TCP_KEEPCNT)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpKeepCount, KeepAliveProbes));
        }

        if (options.UserTimeout > TimeSpan.Zero)
        {
            check("setsockopt(TCP_USER_TIMEOUT)", Sockets.SetOption(fd, Sockets.IpProtoTcp, Sockets.TcpUserTimeout, (int)Math.Ceiling(options.UserTimeout.TotalMilliseconds)));
        }
    }
}
