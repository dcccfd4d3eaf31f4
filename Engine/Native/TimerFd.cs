namespace C10kServer.Engine.Native;

/// <summary>A timer that an epoll can wait for, to the nanosecond. epoll_wait itself counts in milliseconds. See timerfd_create(2).</summary>
internal static unsafe class TimerFd
{
    private const int Monotonic = 1;
    private const int Nonblock = 0x800;
    private const int Cloexec = 0x80000;
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal static Descriptor Open()
    {
        int fd = Libc.TimerFdCreate(Monotonic, Nonblock | Cloexec);
        return fd >= 0 ? new Descriptor(fd) : throw new EngineException("timerfd_create", Errno.Last);
    }

    /// <summary>Fires once, this many nanoseconds from now. If the timer is registered edge-triggered, it need not be read.</summary>
    internal static void Arm(int fd, long nanoseconds)
    {
        // struct itimerspec: interval and value, each in seconds and nanoseconds. A value of zero would disarm.
        long* time = stackalloc long[4];
        nanoseconds = Math.Max(1, nanoseconds);
        time[0] = time[1] = 0;
        time[2] = nanoseconds / NanosecondsPerSecond;
        time[3] = nanoseconds % NanosecondsPerSecond;
        if (Libc.TimerFdSetTime(fd, 0, time, null) != 0)
        {
            throw new EngineException("timerfd_settime", Errno.Last);
        }
    }
}
