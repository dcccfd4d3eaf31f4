using System.Diagnostics;
using System.Numerics;

namespace C10kServer.Engine;

/// <summary>Something with one deadline at a time; it carries the wheel's links, so that a deadline allocates nothing.</summary>
internal interface ITimed
{
    ITimed? Next { get; set; }

    ITimed? Previous { get; set; }

    /// <summary>The lower half of the tick at which it is asked, which the wheel knows the upper half of; 0 for never.</summary>
    uint Due { get; set; }

    /// <summary>Has the deadline passed, or moved? It may set a new one.</summary>
    void OnDeadline(long now);
}

/// <summary>
/// Deadlines of connections: one entry each, O(1) to set and to cancel. A
/// connection's activity does not touch the wheel: when an entry comes due, the connection looks whether its deadline has
/// moved and asks for the rest. So ten thousand idle connections cost nothing between their deadlines (pitfall 38).
/// Belongs to its worker's thread. The scheme is Varghese and Lauck's hashed wheel.
/// </summary>
internal sealed class TimerWheel
{
    /// <summary>Milliseconds: fine enough for the shortest timeout that makes sense on a network, 30 wake-ups a second at most.</summary>
    internal const int Tick = 32;

    // 2,048 buckets are 65 s: a deadline beyond is parked at the horizon and asked again there.
    private const int Buckets = 2048;
    private const int Mask = Buckets - 1;

    private readonly ITimed?[] _heads = new ITimed?[Buckets];
    private readonly ulong[] _occupied = new ulong[Buckets / 64];
    private long _current;
    private int _count;

    internal TimerWheel(long now) => _current = now / Tick;

    /// <summary>Sets or replaces a connection's deadline. It comes due up to one tick late, never early.</summary>
    internal void Schedule(ITimed timed, long deadline)
    {
        Cancel(timed);
        if (deadline == Clock.Never)
        {
            return;
        }

        long due = Math.Clamp((deadline + Tick - 1) / Tick, _current + 1, _current + Buckets - 1);
        if ((uint)due == 0)
        {
            // That would be never; a tick later is the same to everyone.
            due++;
        }

        int bucket = (int)(due & Mask);
        ITimed? head = _heads[bucket];
        timed.Due = (uint)due;
        timed.Next = head;
        timed.Previous = null;
        if (head is not null)
        {
            head.Previous = timed;
        }

        _heads[bucket] = timed;
        _occupied[bucket >> 6] |= 1UL << (bucket & 63);
        _count++;
    }

    /// <summary>As <see cref="Schedule"/>, unless the connection is to be asked earlier anyway.</summary>
    internal void ScheduleEarlier(ITimed timed, long deadline)
    {
        if (deadline != Clock.Never && (timed.Due == 0 || deadline < WholeTick(timed.Due) * Tick))
        {
            Schedule(timed, deadline);
        }
    }

    internal void Cancel(ITimed timed)
    {
        if (timed.Due == 0)
        {
            return;
        }

        int bucket = (int)(timed.Due & Mask);
        if (timed.Previous is { } previous)
        {
            previous.Next = timed.Next;
        }
        else
        {
            Debug.Assert(_heads[bucket] == timed, "an entry without a predecessor is its bucket's head");
            _heads[bucket] = timed.Next;
            if (timed.Next is null)
            {
                _occupied[bucket >> 6] &= ~(1UL << (bucket & 63));
            }
        }

        if (timed.Next is { } next)
        {
            next.Previous = timed.Previous;
        }

        timed.Next = timed.Previous = null;
        timed.Due = 0;
        _count--;
    }

    /// <summary>Milliseconds that an epoll_wait may take: -1 where no deadline is set.</summary>
    internal int Timeout(long now)
    {
        if (_count == 0)
        {
            return -1;
        }

        long due = NextDue() * Tick;
        return (int)Math.Clamp(due - now, 0, int.MaxValue);
    }

    /// <summary>Asks every connection whose entry has come due.</summary>
    internal void Advance(long now)
    {
        long target = now / Tick;
        if (_count == 0)
        {
            _current = Math.Max(_current, target);
            return;
        }

        // After a stop of the process longer than the wheel, one round finds all that is due.
        long last = Math.Min(target, _current + Buckets);
        while (_current < last)
        {
            _current++;
            int bucket = (int)(_current & Mask);
            while (_heads[bucket] is { } timed)
            {
                Cancel(timed);
                timed.OnDeadline(now);
            }
        }

        _current = Math.Max(_current, target);
    }

    // No entry is further from the current tick than the wheel is long, so the difference is right whatever the upper halves are.
    private long WholeTick(uint due) => _current + (int)(due - (uint)_current);

    /// <summary>The first occupied bucket after the current one.</summary>
    private long NextDue()
    {
        int from = (int)((_current + 1) & Mask);
        int word = from >> 6;
        ulong bits = _occupied[word] & (ulong.MaxValue << (from & 63));
        for (int i = 0; i <= _occupied.Length; i++)
        {
            if (bits != 0)
            {
                int bucket = (word << 6) + BitOperations.TrailingZeroCount(bits);
                return _current + 1 + ((bucket - from) & Mask);
            }

            word = (word + 1) % _occupied.Length;
            bits = _occupied[word];
        }

        throw new UnreachableException("an entry is counted and in no bucket");
    }
}
