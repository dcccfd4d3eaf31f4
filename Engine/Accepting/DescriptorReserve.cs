using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A few descriptors that the process holds while its servers accept, and lets go while accepting has paused for want of more. The
/// runtime needs two to start a thread, and starts one whenever it recompiles a method that has been called often; where it gets
/// none it throws OutOfMemoryException out of that call, on the very thread that made it, or ends the process. Servers that
/// left nothing over would end the user's shell within seconds (pitfalls 19, 44). One set for the process, as the limit is: while it
/// is let go, no server accepts. From any thread.
/// </summary>
internal static class DescriptorReserve
{
    /// <summary>Enough for some threads at a time, and an assembly or a log file besides.</summary>
    internal const int Count = 16;

    /// <summary>
    /// Free descriptors beside the spare ones at which accepting ends: the rest of the process never finds none while the acceptors and the counting
    /// go on.
    /// </summary>
    internal const int Margin = 8;

    private static readonly Lock Gate = new();
    private static readonly int[] Fds = new int[Count];
    private static int s_held;
    private static int s_users;
    private static volatile bool s_complete;

    /// <summary>Whether there is something to spare: what an acceptor asks before each accept.</summary>
    internal static bool AreHeld => s_complete;

    /// <summary>A server begins to accept.</summary>
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

    /// <summary>A server is at its end. With the last one they are given back.</summary>
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

    /// <summary>How many connections, all servers' together, there are descriptors for, beside the spare ones and the margin.</summary>
    internal static int CountRoom() => (OpenDescriptors.CountFree() - Margin) / Math.Max(1, Volatile.Read(ref s_users));

    /// <summary>Takes those that are missing. 0, or the errno: then none is held. Without a server none is taken, and that is no failure.</summary>
    internal static int TryTake()
    {
        lock (Gate)
        {
            if (s_users == 0)
            {
                return 0;
            }

            // Counted first, because to take the last ones would leave a file of the process without a descriptor.
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

    /// <summary>Lets them go, for others of the process to use.</summary>
    // Not to be recompiled: that would want a thread just when there is nothing to start it with.
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
