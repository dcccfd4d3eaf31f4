using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A few descriptors that the acceptor holds while it accepts, and lets go while it has paused for want of more. The runtime
/// needs two to start a thread, and starts one whenever it recompiles a method that has been called often; where it gets
/// none it throws OutOfMemoryException out of that call, on the very thread that made it, or ends the process. An
/// acceptor that left nothing over would fault its server, or end the user's shell, within seconds (pitfalls 19, 44).
/// Touched by the acceptor's thread alone, once it runs.
/// </summary>
internal sealed class SpareDescriptors : IDisposable
{
    // Some threads at a time, and an assembly or a log file besides.
    private const int Count = 16;

    private readonly int[] _fds = new int[Count];
    private int _held;

    /// <summary>Takes all of them. 0, or the errno: then none is held.</summary>
    internal int Take()
    {
        while (_held < Count)
        {
            int fd = EventFd.TryOpen();
            if (fd < 0)
            {
                int errno = Errno.Last;
                Release();
                return errno;
            }

            _fds[_held++] = fd;
        }

        return 0;
    }

    // Not to be recompiled: that would want a thread just when there is nothing to start it with.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Release()
    {
        while (_held > 0)
        {
            _ = Libc.Close(_fds[--_held]);
        }
    }

    public void Dispose() => Release();
}
