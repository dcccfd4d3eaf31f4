using System.Diagnostics;
using System.Numerics;

namespace C10kServer.Engine;

/// <summary>An object with one deadline at a time. It carries the wheel's links itself, so that a deadline allocates nothing.</summary>
internal interface ITimed
{
    ITimed? Next { get; set; }

    ITimed? Previous { get; set; }

    /// <summary>The lower 32 bits of the tick at which the wheel asks this object; 0 for never. The wheel knows the upper bits.</summary>
    uint Due { get; set; }

    /// <summary>Called when the entry is due. The object checks whether its deadline has passed or moved, and may set a new one.</summary>
    void OnDeadline(long now);
}

/// <summary>
/// The deadlines of connections: one entry for each, O(1) to set and to cancel. A connection's activity does not touch the wheel. When an
/// entry is due, the connection checks whether its deadline has moved, and if so sets the entry again for the rest of the time. So ten
/// thousand idle connections cost nothing between their deadlines (pitfall 38). The wheel belongs to its worker's thread. The scheme is
/// Varghese and Lauck's hashed wheel.
/// </summary>
internal sealed class TimerWheel
{
    /// <summary>
    /// Milliseconds in a tick. Fine enough for the shortest timeout that makes sense on a network, and 30 wake-ups a second at most.
    /// </summary>
    internal const int Tick = 32;

    // 2,048 buckets cover 65 s. A later deadline gets an entry in the last bucket, and when that entry is due, the connection sets it again.
    private const int Buckets = 2048;
    private const int Mask = Buckets - 1;

    private readonly ITimed?[] _heads = new ITimed?[Buckets];
    private readonly ulong[] _occupied = new ulong[Buckets / 64];
    private long _current;
    private int _count;

    internal TimerWheel(long now) => _current = now / Tick;

    /// <summary>Sets or replaces a connection's deadline. The entry is due up to one tick late, and never early.</summary>
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
            // Due 0 would mean never, so the entry is due a tick later. No connection depends on that tick.
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

    /// <summary>Does what <see cref="Schedule"/> does, unless the connection's entry is due earlier anyway.</summary>
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

    /// <summary>How long an epoll_wait may take, in milliseconds; -1 if no deadline is set.</summary>
    internal int Timeout(long now)
    {
        if (_count == 0)
        {
            return -1;
        }

        long due = NextDue() * Tick;
        return (int)Math.Clamp(due - now, 0, int.MaxValue);
    }

    /// <summary>Asks every connection whose entry is due.</summary>
    internal void Advance(long now)
    {
        long target = now / Tick;
        if (_count == 0)
        {
            _current = Math.Max(_current, target);
            return;
        }

        // If the process was stopped for longer than the wheel covers, one round through the buckets finds all entries that are due.
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

    // No entry is further from the current tick than the wheel is long, so the difference of the lower 32 bits gives the whole tick, whatever
    // the upper bits are.
    private long WholeTick(uint due) => _current + (int)(due - (uint)_current);

    /// <summary>The tick of the first occupied bucket after the current one.</summary>
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
