namespace C10kServer.Engine.Native;

/// <summary>A counter in the kernel that wakes an epoll up. See eventfd(2).</summary>
internal static unsafe class EventFd
{
    private const int Nonblock = 0x800;
    private const int Cloexec = 0x80000;

    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal static Descriptor Open(uint initial = 0)
    {
        int fd = Libc.EventFd(initial, Nonblock | Cloexec);
        return fd >= 0 ? new Descriptor(fd) : throw new EngineException("eventfd", Errno.Last);
    }

    /// <summary>Returns the bare number, for a caller that closes the descriptor itself; below 0 with errno set.</summary>
    internal static int TryOpen() => Libc.EventFd(0, Nonblock | Cloexec);

    /// <summary>
    /// May be called from any thread. If the eventfd is registered edge-triggered, each signal is one event, and the counter need not be
    /// read.
    /// </summary>
    internal static void Signal(Descriptor eventFd)
    {
        ulong one = 1;
        while (Libc.Write(eventFd, &one, sizeof(ulong)) < 0)
        {
            int errno = Errno.Last;
            if (errno != Errno.EINTR)
            {
                // EAGAIN would take 2^64 - 2 signals. Any other error means that the descriptor is not ours.
                throw new EngineException("write to an eventfd", errno);
            }
        }
    }
}
