using System.Diagnostics;
using System.Numerics;

namespace C10kServer.Engine;

/// <summary>
/// Deadlines of connections: one entry each, O(1) to set and to cancel, linked through the connections themselves. A
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

    private readonly Connection?[] _heads = new Connection?[Buckets];
    private readonly ulong[] _occupied = new ulong[Buckets / 64];
    private long _current;
    private int _count;

    internal TimerWheel(long now) => _current = now / Tick;

    /// <summary>Sets or replaces a connection's deadline. It comes due up to one tick late, never early.</summary>
    internal void Schedule(Connection connection, long deadline)
    {
        Cancel(connection);
        if (deadline == Clock.Never)
        {
            return;
        }

        long due = Math.Clamp((deadline + Tick - 1) / Tick, _current + 1, _current + Buckets - 1);
        int bucket = (int)(due & Mask);
        Connection? head = _heads[bucket];
        connection.TimerDue = due;
        connection.TimerNext = head;
        connection.TimerPrevious = null;
        if (head is not null)
        {
            head.TimerPrevious = connection;
        }

        _heads[bucket] = connection;
        _occupied[bucket >> 6] |= 1UL << (bucket & 63);
        _count++;
    }

    /// <summary>As <see cref="Schedule"/>, unless the connection is to be asked earlier anyway.</summary>
    internal void ScheduleEarlier(Connection connection, long deadline)
    {
        if (deadline != Clock.Never && (connection.TimerDue == 0 || deadline < connection.TimerDue * Tick))
        {
            Schedule(connection, deadline);
        }
    }

    internal void Cancel(Connection connection)
    {
        if (connection.TimerDue == 0)
        {
            return;
        }

        int bucket = (int)(connection.TimerDue & Mask);
        if (connection.TimerPrevious is { } previous)
        {
            previous.TimerNext = connection.TimerNext;
        }
        else
        {
            Debug.Assert(_heads[bucket] == connection, "an entry without a predecessor is its bucket's head");
            _heads[bucket] = connection.TimerNext;
            if (connection.TimerNext is null)
            {
                _occupied[bucket >> 6] &= ~(1UL << (bucket & 63));
            }
        }

        if (connection.TimerNext is { } next)
        {
            next.TimerPrevious = connection.TimerPrevious;
        }

        connection.TimerNext = connection.TimerPrevious = null;
        connection.TimerDue = 0;
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
            while (_heads[bucket] is { } connection)
            {
                Cancel(connection);
                connection.OnDeadline(now);
            }
        }

        _current = Math.Max(_current, target);
    }

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
