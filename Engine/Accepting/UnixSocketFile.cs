using System.Text;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The file of a Unix domain socket. bind makes the file, and only the server that bound it may remove it (pitfall 49). A lock beside it,
/// path.lock, is held from before bind until listen has returned, because a socket that is bound and does not listen yet looks like one
/// that was left behind (pitfall 59). The lock stays when the server ends, because removing it would give two processes a lock each. See
/// unix(7) and flock(2).
/// </summary>
internal sealed unsafe class UnixSocketFile
{
    private const string LockSuffix = ".lock";
    private const int LockInterval = 5;

    private readonly string _path;
    private readonly FileIdentity _identity;
    private int _removed;

    private UnixSocketFile(string path, FileIdentity identity) => (_path, _identity) = (path, identity);

    /// <summary>
    /// Milliseconds that a start waits for another start on its path. A start holds the lock for microseconds, and only a process that was
    /// stopped holds it longer. The time is shorter than the half second in which a cmdlet must answer to Ctrl+C. Tests set more, because a
    /// machine may stand still.
    /// </summary>
    internal static int LockPatience { get; set; } = 400;

    /// <summary>Binds a socket to a path and listens. A file that another server left behind is replaced, if nobody answers on it.</summary>
    /// <exception cref="ServerStartException">
    /// Somebody answers on the path, the file is not a socket, or the directory does not permit it. No file is left behind except the lock.
    /// </exception>
    internal static UnixSocketFile Listen(int fd, string path, UnixFileMode? mode, int backlog)
    {
        using Descriptor held = Lock(path);
        Bind(fd, path);
        var file = new UnixSocketFile(path, FileIdentity.Of(path));
        try
        {
            // The mode is set before listen, because nobody can connect until then.
            if (mode is { } wanted && SetMode(path, wanted) is not 0 and var refused)
            {
                throw ServerStartException.ForMode(path, wanted, refused);
            }

            return Libc.Listen(fd, backlog) == 0 ? file : throw ServerStartException.For(path, Errno.Last);
        }
        catch
        {
            file.Remove();
            throw;
        }
    }

    /// <summary>Removes the file once, unless another file has taken its place. May be called from any thread.</summary>
    internal void Remove()
    {
        // A successor's file may get the same inode as soon as ours is gone, so a second look would take the successor's file for ours.
        if (Interlocked.Exchange(ref _removed, 1) != 0)
        {
            return;
        }

        FileIdentity identity = FileIdentity.Of(_path);
        if (identity.IsSocket && identity == _identity)
        {
            // If the file cannot be removed now, because its directory was closed to us meanwhile, the next start replaces it.
            _ = Unlink(_path);
        }
    }

    /// <summary>
    /// Waits for the path's lock. The kernel releases the lock when the descriptor is closed, which the end of the process also does.
    /// </summary>
    private static Descriptor Lock(string path)
    {
        const int Exclusive = 2;
        const int NonBlocking = 4;
        string name = path + LockSuffix;
        Descriptor file = OpenLock(path, name);
        try
        {
            long deadline = Clock.Now + LockPatience;
            while (Libc.Flock(file, Exclusive | NonBlocking) != 0)
            {
                int errno = Errno.Last;
                if (errno is not (Errno.EAGAIN or Errno.EINTR))
                {
                    throw ServerStartException.ForLock(path, name, errno);
                }

                if (Clock.Now >= deadline)
                {
                    throw new ServerStartException(
                        StartFailure.PortInUse,
                        $"Another process is about to start a server on {path}: it holds {name} (fuser shows it). Try again, or choose another path.",
                        Errno.EADDRINUSE);
                }

                // flock(2) has no time limit of its own, and an alarm would hit any thread of the shell.
                Thread.Sleep(LockInterval);
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static Descriptor OpenLock(string path, string name)
    {
        // The flags of open(2). Their values are the same on x86-64, arm64 and riscv64, except O_NOFOLLOW, which arm64 has elsewhere.
        const int Create = 0x40;
        const int Nonblock = 0x800;
        const int Cloexec = 0x80000;
        const uint UserAlone = 0x180;
        int noFollow = System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? 0x8000 : 0x20000;

        // A link is not followed, because in /tmp anybody could use a link to have a file made anywhere.
        fixed (byte* p = Encoding.UTF8.GetBytes(name + '\0'))
        {
            int fd;
            do
            {
                fd = Libc.Open(p, Create | noFollow | Nonblock | Cloexec, UserAlone);
            }
            while (fd < 0 && Errno.Last == Errno.EINTR);

            return fd >= 0 ? new Descriptor(fd) : throw ServerStartException.ForLock(path, name, Errno.Last);
        }
    }

    private static void Bind(int fd, string path)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        uint length = SockAddr.WriteUnix(path, address);
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
    }

    private static int SetMode(string path, UnixFileMode mode)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            return Libc.Chmod(p, (uint)mode) == 0 ? 0 : Errno.Last;
        }
    }

    private static void RemoveStale(string path, byte* address, uint length)
    {
        if (!FileIdentity.Of(path).IsSocket)
        {
            throw new ServerStartException(
                StartFailure.PortInUse, $"The file {path} exists and is not a socket. Choose another path, or remove the file.", Errno.EADDRINUSE);
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
            // This also covers a server whose queue is full, or that we may not ask.
            throw new ServerStartException(
                StartFailure.PortInUse, $"Another server listens on {path}. Choose another path, or stop that one.", Errno.EADDRINUSE);
        }

        int refused = Unlink(path);
        if (refused is not 0 and not Errno.ENOENT)
        {
            throw ServerStartException.For(path, refused);
        }
    }

    private static int Unlink(string path)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            return Libc.Unlink(p) == 0 ? 0 : Errno.Last;
        }
    }
}
