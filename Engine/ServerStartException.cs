using System.Net;

namespace C10kServer.Engine;

/// <summary>A server, or a thread that it needs, could not start. The message says what to do; nothing is left behind.</summary>
public sealed class ServerStartException : IOException
{
    internal ServerStartException(StartFailure failure, string message, int errno = 0, Exception? cause = null)
        : base(message, cause) => (Failure, Errno) = (failure, errno);

    /// <summary>What went wrong.</summary>
    public StartFailure Failure { get; }

    /// <summary>The error number, see errno(3); 0 if no system call failed.</summary>
    public int Errno { get; }

    internal static ServerStartException For(IPEndPoint endPoint, string call, int errno) => errno switch
    {
        Native.Errno.EADDRINUSE => new(
            StartFailure.PortInUse,
            $"Port {endPoint.Port} on {endPoint.Address} is in use. Choose another port, or 0 for a free one, or stop what listens there (ss -ltnp shows it).",
            errno),
        Native.Errno.EACCES => new(
            StartFailure.PortAccessDenied,
            $"Port {endPoint.Port} on {endPoint.Address} is privileged. Choose a higher one (sysctl net.ipv4.ip_unprivileged_port_start says from where), or give the process the capability CAP_NET_BIND_SERVICE.",
            errno),
        Native.Errno.EADDRNOTAVAIL or Native.Errno.EAFNOSUPPORT => new(
            StartFailure.AddressNotAvailable,
            $"{endPoint.Address} is no address of this machine (ip address shows those that are). 127.0.0.1 is loopback, 0.0.0.0 is all of IPv4.",
            errno),
        Native.Errno.ENODEV => new(
            StartFailure.AddressNotAvailable,
            $"{endPoint.Address} cannot be listened on, because this machine has no interface {endPoint.Address.ScopeId} (ip link shows the interfaces).",
            errno),
        Native.Errno.EMFILE or Native.Errno.ENFILE => OutOfDescriptors(errno),
        _ => new(StartFailure.Other, $"Cannot listen on {endPoint}: {call}: {Native.Errno.Describe(errno)}.", errno),
    };

    /// <summary>The exception for a listening socket that the process was started with.</summary>
    internal static ServerStartException ForInherited(int fd, EndPoint endPoint, string call, int errno) => errno switch
    {
        Native.Errno.EMFILE or Native.Errno.ENFILE => OutOfDescriptors(errno),
        _ => new(
            StartFailure.Other,
            $"The socket that was passed in as descriptor {fd} ({endPoint}) does not take an option of this server: {call}: "
            + $"{Native.Errno.Describe(errno)}. Leave that option out, or have the unit pass a plain TCP socket.",
            errno),
    };

    /// <summary>The exception for the path of a Unix domain socket.</summary>
    internal static ServerStartException For(string path, int errno) => errno switch
    {
        Native.Errno.EACCES or Native.Errno.EPERM => new(
            StartFailure.PortAccessDenied, $"This user may not make a socket at {path}. Choose a directory that it may write to.", errno),
        Native.Errno.EMFILE or Native.Errno.ENFILE => OutOfDescriptors(errno),
        _ => new(StartFailure.AddressNotAvailable, $"Cannot listen on {path}: {Native.Errno.Describe(errno)}.", errno),
    };

    /// <summary>The exception for the lock beside the path of a Unix domain socket.</summary>
    internal static ServerStartException ForLock(string path, string name, int errno) => errno switch
    {
        Native.Errno.ENOENT or Native.Errno.ENOTDIR or Native.Errno.EMFILE or Native.Errno.ENFILE => For(path, errno),
        Native.Errno.EACCES or Native.Errno.EPERM or Native.Errno.EROFS => new(
            StartFailure.PortAccessDenied,
            $"This user may not open {name}, which a server locks while it starts on {path}. Choose a directory that this user may write to; "
            + "if the file is another user's, remove it or choose another path.",
            errno),
        Native.Errno.ELOOP => new(
            StartFailure.AddressNotAvailable,
            $"{name} is a symbolic link, and a server that starts on {path} needs a file there. Remove the link, or choose another path.",
            errno),
        _ => new(
            StartFailure.AddressNotAvailable,
            $"{name}, which a server locks while it starts on {path}, cannot be locked: {Native.Errno.Describe(errno)}. Choose another path.",
            errno),
    };

    /// <summary>The exception for the mode of a Unix domain socket's file.</summary>
    internal static ServerStartException ForMode(string path, UnixFileMode mode, int errno) => new(
        errno is Native.Errno.EPERM or Native.Errno.EACCES or Native.Errno.EROFS ? StartFailure.PortAccessDenied : StartFailure.AddressNotAvailable,
        $"{path} cannot be given the mode {Convert.ToString((int)mode, 8)}: {Native.Errno.Describe(errno)}. Choose another directory, or leave out the mode.",
        errno);

    /// <summary>The exception for the file of a log.</summary>
    internal static ServerStartException ForLog(string path, int errno) => errno switch
    {
        Native.Errno.EMFILE or Native.Errno.ENFILE => OutOfDescriptors(errno),
        Native.Errno.ENOENT or Native.Errno.ENOTDIR => ForLog(path, errno, "Make its directory first, or choose another."),
        Native.Errno.EACCES or Native.Errno.EPERM or Native.Errno.EROFS => ForLog(path, errno, "Choose a place that this user may write to."),
        Native.Errno.EISDIR => ForLog(path, errno, "Give the name of a file in it."),
        Native.Errno.ENXIO => ForLog(path, errno, "A pipe needs a reader first, and a socket is no place for a log."),
        _ => ForLog(path, errno, "Choose another file."),
    };

    private static ServerStartException ForLog(string path, int errno, string advice) => new(
        StartFailure.LogPathNotWritable, $"The log {path} cannot be opened for writing: {Native.Errno.Describe(errno)}. {advice}", errno);

    /// <summary>The exception for a call that is not about an address, or for a thread that could not be started.</summary>
    /// <param name="e">The failure of the call or of the thread's start.</param>
    public static ServerStartException For(EngineException e)
    {
        ArgumentNullException.ThrowIfNull(e);
        return e.Call == EngineThread.CreateCall ? OutOfThreads(e) : ForErrno(e);
    }

    private static ServerStartException ForErrno(EngineException e) => e.Errno switch
    {
        Native.Errno.EMFILE or Native.Errno.ENFILE => OutOfDescriptors(e.Errno),
        Native.Errno.ENOSPC => new(
            StartFailure.Other,
            $"The server cannot start: {e.Message}. No more epoll registrations are allowed (sysctl fs.epoll.max_user_watches).",
            e.Errno),
        _ => new(StartFailure.Other, $"The server cannot start: {e.Message}.", e.Errno),
    };

    /// <summary>The exception for a thread that could not be started.</summary>
    private static ServerStartException OutOfThreads(Exception cause) => new(
        StartFailure.ThreadLimit,
        $"The process may start no further thread. Stop other servers or programs, ask for fewer workers or handlers, or {EngineThread.RaiseLimit}",
        Native.Errno.EAGAIN,
        cause);

    internal static ServerStartException OutOfDescriptors(int errno) => new(
        StartFailure.DescriptorLimit,
        $"The process has no descriptors left: {Native.Errno.Describe(errno)}. Stop other servers, or raise the limit (ulimit -n).",
        errno);
}
