using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace C10kServer.Clients;

/// <summary>
/// The system calls that the clients make. The calls are made directly, and not through Socket, because these clients are
/// there for what exactly goes over the wire: Socket.Dispose shuts down, lingers or aborts by rules of its own.
/// It shares nothing with the engine's bindings, so that a mistake in those cannot cancel itself out here.
/// </summary>
internal static partial class Libc
{
    public const int InterNetwork = 2;
    public const int InterNetworkV6 = 10;
    public const int Stream = 1;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;

    public const int LevelSocket = 1;
    public const int SoError = 4;
    public const int SoSendBuffer = 7;
    public const int SoReceiveBuffer = 8;
    public const int SoLinger = 13;
    public const int LevelIP = 0;
    public const int BindAddressNoPort = 24;
    public const int LevelTcp = 6;
    public const int NoDelay = 1;
    public const int MaximumSegment = 2;

    public const int NoSignal = 0x4000;
    public const int ShutdownSend = 1;

    public const int Add = 1;
    public const int Modify = 3;
    public const uint In = 1;
    public const uint Out = 4;
    public const uint Error = 8;
    public const uint HangUp = 0x10;
    public const uint ReadHangUp = 0x2000;

    public const int Interrupted = 4;
    public const int Again = 11;
    public const int BrokenPipe = 32;
    public const int ConnectionReset = 104;
    public const int InProgress = 115;
    public const int ConnectionRefused = 111;

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static partial int Socket(int domain, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(int fd, ref byte address, uint length);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int fd, ref byte address, uint length);

    [LibraryImport("libc", EntryPoint = "getsockname", SetLastError = true)]
    public static partial int GetSocketName(int fd, ref byte address, ref uint length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int SetOption(int fd, int level, int name, ref int value, uint length);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static partial int GetOption(int fd, int level, int name, ref int value, ref uint length);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    public static partial nint Send(int fd, ref byte buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static partial nint Receive(int fd, ref byte buffer, nuint length, int flags);

    [LibraryImport("libc", EntryPoint = "shutdown", SetLastError = true)]
    public static partial int Shutdown(int fd, int how);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static partial int EpollControl(int epoll, int operation, int fd, ref byte change);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    public static partial int EpollWait(int epoll, ref byte events, int capacity, int milliseconds);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int fd, ref ulong value, nuint length);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int fd, ref ulong value, nuint length);

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int GetLimit(int resource, ref ulong softThenHard);

    /// <summary>How many descriptors this process may have; the runtime has raised the soft limit to the hard one.</summary>
    public static ulong DescriptorLimit()
    {
        const int NumberOfFiles = 7;
        Span<ulong> limit = stackalloc ulong[2];
        return GetLimit(NumberOfFiles, ref limit[0]) == 0 ? limit[0] : ulong.MaxValue;
    }

    /// <summary>Sets an option of one int; what it answers is left alone, since none that is used here can be refused.</summary>
    public static void SetInt(int fd, int level, int name, int value) => _ = SetOption(fd, level, name, ref value, sizeof(int));

    /// <summary>The name under which an errno is counted: that of its SocketError where it has one.</summary>
    public static string NameOf(int errno) => errno switch
    {
        1 or 13 => nameof(SocketError.AccessDenied),
        12 or 105 => nameof(SocketError.NoBufferSpaceAvailable),
        23 or 24 => nameof(SocketError.TooManyOpenSockets),
        BrokenPipe => nameof(SocketError.Shutdown),
        97 => nameof(SocketError.AddressFamilyNotSupported),
        98 => nameof(SocketError.AddressAlreadyInUse),
        99 => nameof(SocketError.AddressNotAvailable),
        100 => nameof(SocketError.NetworkDown),
        101 => nameof(SocketError.NetworkUnreachable),
        103 => nameof(SocketError.ConnectionAborted),
        ConnectionReset => nameof(SocketError.ConnectionReset),
        107 => nameof(SocketError.NotConnected),
        110 => nameof(SocketError.TimedOut),
        ConnectionRefused => nameof(SocketError.ConnectionRefused),
        113 => nameof(SocketError.HostUnreachable),
        _ => "Errno" + errno.ToString(System.Globalization.CultureInfo.InvariantCulture),
    };
}
