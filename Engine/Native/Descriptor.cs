using System.Runtime.InteropServices;

namespace C10kServer.Engine.Native;

/// <summary>
/// Owns one of the few long-lived descriptors: an epoll, an eventfd, a listening socket. The reference count of a SafeHandle keeps a write
/// from another thread from hitting someone else's descriptor after the close (pitfall 4). Connections have no such object, because their
/// descriptors belong to their worker's thread.
/// </summary>
internal sealed class Descriptor : SafeHandle
{
    internal Descriptor(int fd)
        : base(-1, ownsHandle: true) => SetHandle(fd);

    public override bool IsInvalid => handle < 0;

    /// <summary>The number, for calls from the thread that owns this object and disposes of it.</summary>
    internal int Fd => IsClosed ? throw new ObjectDisposedException(nameof(Descriptor)) : (int)handle;

    // Whatever close() returns, EINTR included, Linux has released the descriptor. It must never be closed again (pitfall 5).
    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0 || Errno.Last == Errno.EINTR;
}
