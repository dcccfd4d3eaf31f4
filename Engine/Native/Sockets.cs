namespace C10kServer.Engine.Native;

/// <summary>Socket constants and the calls on a socket that take more than one line. See socket(7), tcp(7).</summary>
internal static unsafe class Sockets
{
    internal const int Stream = 1;
    internal const int Nonblock = 0x800;
    internal const int Cloexec = 0x80000;

    internal const int SolSocket = 1;
    internal const int SoReuseAddr = 2;
    internal const int SoType = 3;
    internal const int SoError = 4;
    internal const int SoKeepAlive = 9;
    internal const int SoLinger = 13;
    internal const int SoReusePort = 15;
    internal const int SoAcceptConn = 30;
    internal const int IpProtoTcp = 6;
    internal const int TcpNoDelay = 1;
    internal const int TcpKeepIdle = 4;
    internal const int TcpKeepInterval = 5;
    internal const int TcpKeepCount = 6;
    internal const int TcpUserTimeout = 18;
    internal const int IpProtoIpv6 = 41;
    internal const int Ipv6Only = 26;

    /// <summary>Set on every send, because a peer that is gone must not raise SIGPIPE in the user's shell (pitfall 14).</summary>
    internal const int MsgNoSignal = 0x4000;

    internal const int ShutWrite = 1;
    internal const int ShutReadWrite = 2;

    private const nuint SiocOutQ = 0x5411;
    private const nuint FioNRead = 0x541B;

    /// <summary>Sets an option of a socket. Returns 0, or the errno.</summary>
    internal static int SetOption(int fd, int level, int option, int value) =>
        Libc.SetSockOpt(fd, level, option, &value, sizeof(int)) == 0 ? 0 : Errno.Last;

    /// <summary>The value of an option, or -1 if the descriptor is not a socket.</summary>
    internal static int GetOption(int fd, int level, int option)
    {
        int value = 0;
        uint length = sizeof(int);
        return Libc.GetSockOpt(fd, level, option, &value, &length) == 0 ? value : -1;
    }

    /// <summary>
    /// Makes another descriptor for the same socket. The processes that we start do not get it. Returns -1 after a failure, and leaves the
    /// errno.
    /// </summary>
    internal static int Duplicate(int fd)
    {
        const int DuplicateCloseOnExec = 1030;
        return Libc.Fcntl(fd, DuplicateCloseOnExec, 0);
    }

    /// <summary>Makes a socket nonblocking. Returns 0, or the errno.</summary>
    internal static int SetNonblocking(int fd)
    {
        const int GetStatusFlags = 3;
        const int SetStatusFlags = 4;
        int flags = Libc.Fcntl(fd, GetStatusFlags, 0);
        return flags >= 0 && Libc.Fcntl(fd, SetStatusFlags, flags | Nonblock) == 0 ? 0 : Errno.Last;
    }

    /// <summary>The path that a Unix domain socket is bound to.</summary>
    internal static string LocalPath(int fd)
    {
        const int FamilyLength = 2;
        byte* bytes = stackalloc byte[SockAddr.MaxLength];
        uint length = SockAddr.MaxLength;
        return Libc.GetSockName(fd, bytes, &length) == 0 && length > FamilyLength
            ? System.Text.Encoding.UTF8.GetString(new ReadOnlySpan<byte>(bytes + FamilyLength, (int)Math.Min(length, SockAddr.MaxLength) - FamilyLength)).TrimEnd('\0')
            : "";
    }

    /// <summary>The address that this end is bound to.</summary>
    internal static SockAddr LocalAddress(int fd)
    {
        byte* bytes = stackalloc byte[SockAddr.MaxLength];
        uint length = SockAddr.MaxLength;
        return Libc.GetSockName(fd, bytes, &length) == 0
            ? SockAddr.Read(new ReadOnlySpan<byte>(bytes, (int)Math.Min(length, SockAddr.MaxLength)))
            : default;
    }

    /// <summary>The error that waits on a socket; 0 for none. Asking for the error clears it.</summary>
    internal static int TakeError(int fd)
    {
        int error = 0;
        uint length = sizeof(int);
        return Libc.GetSockOpt(fd, SolSocket, SoError, &error, &length) == 0 ? error : Errno.Last;
    }

    /// <summary>The bytes that wait to be received.</summary>
    internal static int UnreadBytes(int fd)
    {
        int bytes = 0;
        return Libc.Ioctl(fd, FioNRead, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>The bytes that the kernel holds and that the peer has not acknowledged.</summary>
    internal static int UnsentBytes(int fd)
    {
        int bytes = 0;
        return Libc.Ioctl(fd, SiocOutQ, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>Makes the close that follows send a reset and drop what is queued.</summary>
    internal static void ResetOnClose(int fd)
    {
        int* linger = stackalloc int[2];
        linger[0] = 1;
        linger[1] = 0;
        _ = Libc.SetSockOpt(fd, SolSocket, SoLinger, linger, 2 * sizeof(int));
    }
}
