using System.Text;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The file of a Unix domain socket: made by bind, and nobody's to remove but ours (pitfall 49). See unix(7).
/// </summary>
internal sealed unsafe class UnixSocketFile
{
    /// <summary>Bytes of UTF-8 that fit into a sockaddr_un, with the zero at their end.</summary>
    internal const int MaxPathLength = 107;

    private readonly string _path;
    private readonly FileIdentity _identity;

    private UnixSocketFile(string path, FileIdentity identity) => (_path, _identity) = (path, identity);

    /// <summary>Binds a socket to a path. A file that another server left behind is replaced, if nobody answers on it.</summary>
    /// <exception cref="ServerStartException">Somebody answers there, it is no socket, or the directory does not let us.</exception>
    internal static UnixSocketFile Bind(int fd, string path, UnixFileMode? mode)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        uint length = Write(path, address);
        int errno = Libc.Bind(fd, address, length) == 0 ? 0 : Errno.Last;
        if (errno == Errno.EADDRINUSE)
        {
            RemoveStale(path, address, length);
            errno = Libc.Bind(fd, address, length) == 0 ? 0 : Errno.Last;
        }

        if (errno != 0)
        {
            throw ServerStartException.For(path, errno);
        }

        if (mode is { } wanted)
        {
            // Before listen: until then nobody can connect.
            File.SetUnixFileMode(path, wanted);
        }

        return new UnixSocketFile(path, FileIdentity.Of(path));
    }

    /// <summary>Removes the file, unless it is another one by now.</summary>
    internal void Remove()
    {
        FileIdentity identity = FileIdentity.Of(_path);
        if (identity.IsSocket && identity == _identity)
        {
            File.Delete(_path);
        }
    }

    private static void RemoveStale(string path, byte* address, uint length)
    {
        if (!FileIdentity.Of(path).IsSocket)
        {
            throw new ServerStartException(
                StartFailure.PortInUse, $"{path} is there and is no socket. Choose another path, or remove it.", Errno.EADDRINUSE);
        }

        int probe = Libc.Socket(SockAddr.AfUnix, Sockets.Stream | Sockets.Nonblock | Sockets.Cloexec, 0);
        if (probe < 0)
        {
            throw ServerStartException.For(path, Errno.Last);
        }

        using var descriptor = new Descriptor(probe);
        int errno = Libc.Connect(probe, address, length) == 0 ? 0 : Errno.Last;
        if (errno != Errno.ECONNREFUSED)
        {
            // Also where its queue is full, or we may not ask.
            throw new ServerStartException(
                StartFailure.PortInUse, $"Another server listens on {path}. Choose another path, or stop that one.", Errno.EADDRINUSE);
        }

        File.Delete(path);
    }

    /// <summary>Fills a sockaddr for the kernel; returns its length.</summary>
    internal static uint Write(string path, byte* address)
    {
        var bytes = new Span<byte>(address, SockAddr.MaxLength);
        bytes.Clear();
        BitConverter.TryWriteBytes(bytes, (ushort)SockAddr.AfUnix);
        int n = Encoding.UTF8.GetBytes(path, bytes[2..(2 + MaxPathLength)]);
        return (uint)(2 + n + 1);
    }
}
