using System.Diagnostics;
using System.Runtime.InteropServices;

namespace C10kServer.Clients;

/// <summary>
/// One epoll for all connections, on the thread that runs it. Everything in this program but the reading of standard input
/// happens on that thread, between two waits.
/// </summary>
internal sealed class Loop : IDisposable
{
    private const int Capacity = 1024;
    private const ulong WakeUp = ulong.MaxValue;

    // epoll_event is packed on x86-64 and nowhere else.
    private static readonly int Stride = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    private static readonly int DataOffset = Stride - sizeof(ulong);

    private readonly byte[] _events = new byte[Capacity * Stride];
    private readonly byte[] _change = new byte[Stride];
    private readonly List<Client?> _slots = [];
    private readonly Stack<int> _free = new();
    private readonly PriorityQueue<Action, long> _timers = new();
    private readonly int _epoll;
    private readonly int _wakeUp;
    private readonly long _end;

    /// <param name="timeout">After so long every run ends, whatever it waits for.</param>
    public Loop(TimeSpan timeout)
    {
        _end = After(timeout);
        _epoll = Check(Libc.EpollCreate(Libc.CloseOnExec));
        _wakeUp = Check(Libc.EventFd(0, Libc.NonBlocking | Libc.CloseOnExec));
        Check(Control(Libc.Add, _wakeUp, Libc.In, WakeUp));
    }

    /// <summary>Where all connections receive: they verify and forget the bytes before the next one's turn.</summary>
    public byte[] Buffer { get; } = GC.AllocateUninitializedArray<byte>(Payload.Period, pinned: true);

    /// <summary>Runs before each wait.</summary>
    public Action? BeforeWait { get; set; }

    /// <summary>Whether the time for everything is over.</summary>
    public bool Expired => Stopwatch.GetTimestamp() >= _end;

    /// <summary>Registers a connection's descriptor, to be told of what happens there; the slot it gets is its own until released.</summary>
    public bool Add(Client client, int fd, uint interest)
    {
        if (!_free.TryPop(out int slot))
        {
            slot = _slots.Count;
            _slots.Add(null);
        }

        _slots[slot] = client;
        client.Slot = slot;
        return Control(Libc.Add, fd, interest, Word(client)) == 0;
    }

    public void Modify(Client client, int fd, uint interest) => Check(Control(Libc.Modify, fd, interest, Word(client)));

    /// <summary>Frees the slot of a connection whose descriptor has been closed; events of it in this batch find no one.</summary>
    public void Release(Client client)
    {
        _slots[client.Slot] = null;
        _free.Push(client.Slot);
    }

    /// <summary>Calls once, on the loop's thread, after a delay.</summary>
    public void Schedule(TimeSpan delay, Action action) => _timers.Enqueue(action, After(delay));

    /// <summary>Ends the current wait. The one method for other threads.</summary>
    public void Wake()
    {
        ulong one = 1;
        _ = Libc.Write(_wakeUp, ref one, sizeof(ulong));
    }

    /// <summary>Runs until the condition holds (true), or until the time for this, or for everything, is over (false).</summary>
    public bool RunUntil(Func<bool> condition, TimeSpan? timeout = null)
    {
        long end = timeout is TimeSpan t ? Math.Min(_end, After(t)) : _end;
        while (true)
        {
            BeforeWait?.Invoke();
            if (condition())
            {
                return true;
            }

            long now = Stopwatch.GetTimestamp();
            if (now >= end)
            {
                return false;
            }

            long next = _timers.TryPeek(out _, out long due) ? Math.Min(due, end) : end;
            Dispatch(next <= now ? 0 : (int)Math.Ceiling(Math.Min(60_000, Stopwatch.GetElapsedTime(now, next).TotalMilliseconds)));
            now = Stopwatch.GetTimestamp();
            while (_timers.TryPeek(out Action? action, out due) && due <= now)
            {
                _timers.Dequeue();
                action();
            }
        }
    }

    public void Dispose()
    {
        _ = Libc.Close(_wakeUp);
        _ = Libc.Close(_epoll);
    }

    private void Dispatch(int milliseconds)
    {
        int n = Libc.EpollWait(_epoll, ref _events[0], Capacity, milliseconds);
        if (n < 0)
        {
            // The condition and the time are looked at again before the next wait.
            Check(Marshal.GetLastPInvokeError() == Libc.Interrupted ? 0 : -1);
        }

        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<byte> entry = _events.AsSpan(i * Stride, Stride);
            ulong word = MemoryMarshal.Read<ulong>(entry[DataOffset..]);
            if (word == WakeUp)
            {
                ulong count = 0;
                _ = Libc.Read(_wakeUp, ref count, sizeof(ulong));
                continue;
            }

            Client? client = _slots[(int)(uint)word];
            if (client is not null && Word(client) == word)
            {
                client.OnEvents(MemoryMarshal.Read<uint>(entry));
            }
        }
    }

    // The connection's number beside its slot: an event for the slot's last owner is not taken for one of the new owner's.
    private static ulong Word(Client client) => ((ulong)(uint)client.Number << 32) | (uint)client.Slot;

    private static long After(TimeSpan delay) => Stopwatch.GetTimestamp() + (long)(delay.TotalSeconds * Stopwatch.Frequency);

    private int Control(int operation, int fd, uint interest, ulong word)
    {
        MemoryMarshal.Write(_change, interest);
        MemoryMarshal.Write(_change.AsSpan(DataOffset), word);
        return Libc.EpollControl(_epoll, operation, fd, ref _change[0]);
    }

    private static int Check(int result)
        => result >= 0 ? result : throw new IOException("epoll: " + Libc.NameOf(Marshal.GetLastPInvokeError()));
}
