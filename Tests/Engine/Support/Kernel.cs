using System.Runtime.InteropServices;

namespace C10kServer.Engine.Tests.Support;

/// <summary>System calls that the tests need and the engine does not.</summary>
internal static unsafe partial class Kernel
{
    internal const int CapOverrideFileAccess = 1;
    internal const int CapReadEveryFile = 2;
    internal const int CapNetBindService = 10;

    internal const int LockExclusive = 2;
    internal const int LockRelease = 8;

    internal const int SigPipe = 13;
    internal const int SigWinch = 28;

    private const int SignalBlock = 0;
    private const int SignalSet = 2;

    // A sigset_t is 128 bytes in glibc and in musl.
    private const int SignalWords = 16;

    [LibraryImport("libc", EntryPoint = "dup", SetLastError = true)]
    internal static partial int Duplicate(int fd);

    /// <summary>The permissions that new files do not get, of the whole process. Returns what it was.</summary>
    [LibraryImport("libc", EntryPoint = "umask")]
    internal static partial uint SetFileMask(uint mask);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    internal static partial int Lock(int fd, int operation);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int fd);

    /// <summary>Sends a signal to one thread of this process, by its kernel id. 0, or -1.</summary>
    internal static int Signal(int threadId, int signal) => SignalThread(Environment.ProcessId, threadId, signal);

    /// <summary>Does something with a signal blocked on this thread. True when the signal came meanwhile; it is taken back.</summary>
    internal static bool RaisesSignal(int signal, Action action)
    {
        ulong* wanted = stackalloc ulong[SignalWords];
        ulong* before = stackalloc ulong[SignalWords];
        ulong* pending = stackalloc ulong[SignalWords];
        new Span<ulong>(wanted, SignalWords).Clear();
        wanted[0] = 1UL << (signal - 1);
        Assert.Equal(0, MaskSignals(SignalBlock, wanted, before));
        try
        {
            action();
            Assert.Equal(0, PendingSignals(pending));
            return (pending[0] & wanted[0]) != 0;
        }
        finally
        {
            // The runtime ignores SIGPIPE: one that waits is dropped by this.
            Assert.Equal(0, MaskSignals(SignalSet, before, null));
        }
    }

    /// <summary>
    /// Does something on a thread of its own without a capability, see capabilities(7): root is nobody in particular there. The capability
    /// is the thread's, and ends with it.
    /// </summary>
    internal static void WithoutCapability(int capability, Action action)
    {
        Exception? thrown = null;
        var thread = new Thread(() => thrown = Record.Exception(() =>
        {
            // Version 3 of the header, of the calling thread; two times effective, permitted, inheritable.
            uint* header = stackalloc uint[] { 0x2008_0522, 0 };
            uint* sets = stackalloc uint[6];
            Assert.Equal(0, GetCapabilities(header, sets));
            sets[0] &= ~(1U << capability);
            Assert.Equal(0, SetCapabilities(header, sets));
            action();
        }));
        thread.Start();
        thread.Join();
        Assert.Null(thrown);
    }

    /// <summary>An option of a socket that is a number.</summary>
    internal static int GetOption(int fd, int level, int option)
    {
        int value = 0;
        uint length = sizeof(int);
        Assert.Equal(0, GetOption(fd, level, option, &value, &length));
        return value;
    }

    [LibraryImport("libc", EntryPoint = "getsockopt")]
    private static partial int GetOption(int fd, int level, int option, void* value, uint* length);

    [LibraryImport("libc", EntryPoint = "capget")]
    private static partial int GetCapabilities(uint* header, uint* sets);

    [LibraryImport("libc", EntryPoint = "capset")]
    private static partial int SetCapabilities(uint* header, uint* sets);

    [LibraryImport("libc", EntryPoint = "tgkill")]
    private static partial int SignalThread(int processId, int threadId, int signal);

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static partial int MaskSignals(int how, ulong* set, ulong* old);

    [LibraryImport("libc", EntryPoint = "sigpending")]
    private static partial int PendingSignals(ulong* set);
}
