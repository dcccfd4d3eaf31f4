using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace C10kServer.Engine.Native;

/// <summary>
/// One epoll and the array that it fills. It belongs to one thread, the one of its loop. Only this thread may wait, change interest and
/// dispose. See epoll(7).
/// </summary>
internal sealed unsafe class Epoll : IDisposable
{
    internal const uint In = 0x001;
    internal const uint Out = 0x004;
    internal const uint Err = 0x008;
    internal const uint Hup = 0x010;
    internal const uint RdHup = 0x2000;
    internal const uint EdgeTriggered = 1u << 31;

    private const int Cloexec = 0x80000;
    private const int OpAdd = 1;
    private const int OpDel = 2;
    private const int OpMod = 3;

    // struct epoll_event is packed only on x86-64: 12 bytes there, 16 bytes elsewhere (pitfall 40). These fields are constants to the JIT.
    private static readonly bool Packed = RuntimeInformation.ProcessArchitecture == Architecture.X64;
    private static readonly int DataOffset = Packed ? 4 : 8;
    private static readonly int Stride = Packed ? 12 : 16;

    // Only success is remembered, because a process that had no descriptor left for the first try may have one for the next.
    private static volatile bool s_layoutChecked;

    private readonly Descriptor _descriptor;
    private readonly int _fd;
    private readonly byte* _events;

    /// <exception cref="EngineException">No epoll could be made: descriptors are used up, or this kernel's layout is unknown.</exception>
    internal Epoll(int capacity)
        : this(capacity, checkLayout: !s_layoutChecked)
    {
    }

    private Epoll(int capacity, bool checkLayout)
    {
        if (checkLayout)
        {
            CheckLayout();
            s_layoutChecked = true;
        }

        _fd = Libc.EpollCreate1(Cloexec);
        if (_fd < 0)
        {
            throw new EngineException("epoll_create1", Errno.Last);
        }

        _descriptor = new Descriptor(_fd);
        Capacity = capacity;
        _events = (byte*)NativeMemory.Alloc((nuint)capacity, (nuint)Stride);
    }

    /// <summary>The most events that one wait returns.</summary>
    internal int Capacity { get; }

    /// <summary>Waits. Returns the number of events, or the negative errno.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int Wait(int timeoutMilliseconds)
    {
        int n = Libc.EpollWait(_fd, _events, Capacity, timeoutMilliseconds);
        return n >= 0 ? n : -Errno.Last;
    }

    /// <summary>What is ready on a descriptor, and the data word that the descriptor was registered with.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal uint Event(int index, out ulong data)
    {
        byte* e = _events + (nint)index * Stride;
        data = Unsafe.ReadUnaligned<ulong>(e + DataOffset);
        return Unsafe.ReadUnaligned<uint>(e);
    }

    /// <summary>Registers a descriptor. Returns 0, or the errno.</summary>
    internal int Add(int fd, uint interest, ulong data) => Control(OpAdd, fd, interest, data);

    /// <summary>Changes the interest of a registered descriptor. Returns 0, or the errno.</summary>
    internal int Modify(int fd, uint interest, ulong data) => Control(OpMod, fd, interest, data);

    /// <summary>
    /// Takes a descriptor out. Called before every close, because a copy that a forked child holds would keep the registration and its
    /// events alive (pitfall 6). Returns 0, or the errno.
    /// </summary>
    internal int Delete(int fd) => Control(OpDel, fd, 0, 0);

    public void Dispose()
    {
        if (!_descriptor.IsClosed)
        {
            _descriptor.Dispose();
            NativeMemory.Free(_events);
        }
    }

    private int Control(int operation, int fd, uint interest, ulong data)
    {
        byte* e = stackalloc byte[16];
        Unsafe.WriteUnaligned(e, interest);
        Unsafe.WriteUnaligned(e + DataOffset, data);
        return Libc.EpollCtl(_fd, operation, fd, e) == 0 ? 0 : Errno.Last;
    }

    /// <summary>Called once a process. Two words go through the kernel and must come back, whatever the architecture is.</summary>
    private static void CheckLayout()
    {
        const ulong First = 0x0123_4567_89AB_CDEF;
        const ulong Second = 0xFEDC_BA98_7654_3210;
        using var epoll = new Epoll(4, checkLayout: false);
        using Descriptor a = EventFd.Open(initial: 1);
        using Descriptor b = EventFd.Open(initial: 1);
        int errno = epoll.Add(a.Fd, In, First);
        errno = errno == 0 ? epoll.Add(b.Fd, In, Second) : errno;
        if (errno != 0)
        {
            throw new EngineException("epoll_ctl", errno);
        }

        int n;
        while ((n = epoll.Wait(0)) < 0)
        {
            if (n != -Errno.EINTR)
            {
                throw new EngineException("epoll_wait", -n);
            }
        }

        bool asSent = n == 2 && epoll.Event(0, out ulong x) == In && epoll.Event(1, out ulong y) == In
            && (x, y) is (First, Second) or (Second, First);
        if (!asSent)
        {
            throw new PlatformNotSupportedException(
                $"struct epoll_event has another layout than expected on {RuntimeInformation.ProcessArchitecture}.");
        }
    }
}
