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
    private readonly (ulong Inode, uint Major, uint Minor) _identity;

    private UnixSocketFile(string path, (ulong Inode, uint Major, uint Minor) identity) => (_path, _identity) = (path, identity);

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

        return new UnixSocketFile(path, Look(path).Identity);
    }

    /// <summary>Removes the file, unless it is another one by now.</summary>
    internal void Remove()
    {
        (bool isSocket, var identity) = Look(_path);
        if (isSocket && identity == _identity)
        {
            File.Delete(_path);
        }
    }

    private static void RemoveStale(string path, byte* address, uint length)
    {
        if (!Look(path).IsSocket)
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

    private static (bool IsSocket, (ulong Inode, uint Major, uint Minor) Identity) Look(string path)
    {
        // struct statx, which is the same on every architecture, see statx(2).
        const int Size = 256;
        const int OffsetMode = 28;
        const int OffsetInode = 32;
        const int OffsetMajor = 136;
        const int OffsetMinor = 140;
        const int CurrentDirectory = -100;
        const int NoFollow = 0x100;
        const uint TypeAndInode = 0x001 | 0x100;
        const int TypeMask = 0xF000;
        const int TypeSocket = 0xC000;

        byte* file = stackalloc byte[Size];
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        fixed (byte* p = name)
        {
            if (Libc.Statx(CurrentDirectory, p, NoFollow, TypeAndInode, file) != 0)
            {
                return default;
            }
        }

        var bytes = new ReadOnlySpan<byte>(file, Size);
        bool socket = (BitConverter.ToUInt16(bytes[OffsetMode..]) & TypeMask) == TypeSocket;
        return (socket, (BitConverter.ToUInt64(bytes[OffsetInode..]), BitConverter.ToUInt32(bytes[OffsetMajor..]), BitConverter.ToUInt32(bytes[OffsetMinor..])));
    }
}
