using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A few descriptors that the process holds while its servers accept. It lets them go while accepting has paused because there are no more.
/// The runtime needs two descriptors to start a thread, and it starts a thread whenever it recompiles a method that has been called often.
/// If it gets no descriptor, it throws OutOfMemoryException out of that call, on the very thread that made the call, or it ends the
/// process. Servers that left nothing over would end the user's shell within seconds (pitfalls 19, 44). The process has one reserve,
/// because it has one limit: while the reserve is let go, no server accepts. May be used from any thread.
/// </summary>
internal static class DescriptorReserve
{
    /// <summary>Enough for some threads at a time, and for an assembly or a log file besides.</summary>
    internal const int Count = 16;

    /// <summary>
    /// The number of free descriptors, beside the spare ones, at which accepting ends. With this margin the rest of the process always
    /// finds a descriptor while the acceptors and the counting go on.
    /// </summary>
    internal const int Margin = 8;

    private static readonly Lock Gate = new();
    private static readonly int[] Fds = new int[Count];
    private static int s_held;
    private static int s_users;
    private static volatile bool s_complete;

    /// <summary>Whether there is something to spare. An acceptor asks this before each accept.</summary>
    internal static bool AreHeld => s_complete;

    /// <summary>Called when a server begins to accept.</summary>
    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal static void Join()
    {
        lock (Gate)
        {
            s_users++;
            bool joined = false;
            try
            {
                int errno = TryTake();
                joined = errno == 0 ? true : throw new EngineException("eventfd", errno);
            }
            finally
            {
                s_users -= joined ? 0 : 1;
            }
        }
    }

    /// <summary>Called when a server is at its end. With the last server the descriptors are given back.</summary>
    internal static void Leave()
    {
        lock (Gate)
        {
            if (--s_users == 0)
            {
                Release();
            }
        }
    }

    /// <summary>
    /// How many connections there are descriptors for, beside the spare ones and the margin, when all servers of the process are considered
    /// together.
    /// </summary>
    internal static int CountRoom() => (OpenDescriptors.CountFree() - Margin) / Math.Max(1, Volatile.Read(ref s_users));

    /// <summary>
    /// Takes the descriptors that are missing. Returns 0, or the errno; none is held then. Without a server none is taken, and that is not
    /// a failure.
    /// </summary>
    internal static int TryTake()
    {
        lock (Gate)
        {
            if (s_users == 0)
            {
                return 0;
            }

            // The free descriptors are counted first, because taking the last ones would leave a file of the process without a descriptor.
            if (s_held < Count && OpenDescriptors.CountFree() < Count - s_held + Margin)
            {
                Release();
                return Errno.EMFILE;
            }

            while (s_held < Count)
            {
                int fd = EventFd.TryOpen();
                if (fd < 0)
                {
                    int errno = Errno.Last;
                    Release();
                    return errno;
                }

                Fds[s_held++] = fd;
            }

            s_complete = true;
            return 0;
        }
    }

    /// <summary>Lets the descriptors go, for the rest of the process to use.</summary>
    // This method must not be recompiled, because that would need a thread just when there is nothing to start it with.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Release()
    {
        lock (Gate)
        {
            s_complete = false;
            while (s_held > 0)
            {
                _ = Libc.Close(Fds[--s_held]);
            }
        }
    }
}
