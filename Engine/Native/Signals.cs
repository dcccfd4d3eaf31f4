namespace C10kServer.Engine.Native;

/// <summary>Signals of the calling thread. See signal(7).</summary>
internal static unsafe class Signals
{
    /// <summary>SIGXFSZ, on x86-64, arm64 and riscv64.</summary>
    internal const int FileSizeExceeded = 25;

    // A sigset_t has 128 bytes in glibc and in musl.
    private const int SetWords = 16;

    /// <summary>
    /// Blocks a signal, so that it does not interrupt this thread any more. The process's other threads and its children are not affected.
    /// </summary>
    internal static void Block(int signal)
    {
        const int SignalBlock = 0;
        ulong* set = stackalloc ulong[SetWords];
        new Span<ulong>(set, SetWords).Clear();
        set[0] = 1UL << (signal - 1);
        if (Libc.SigProcMask(SignalBlock, set, null) != 0)
        {
            throw new EngineException("sigprocmask", Errno.Last);
        }
    }
}
