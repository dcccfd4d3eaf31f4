using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// How the worker waits for events, and which time has passed for its timers.
internal sealed unsafe partial class Worker
{
    // The time up to which every event that epoll had has been dispatched. Deadlines are computed with it, so that bytes that came before a
    // deadline are handled before the deadline is, however long the process or a handler stood still meanwhile (pitfall 64).
    private long _seen;

    // The current sweep over more ready connections than one batch has: when it began, and how many events it still has to see.
    private long _sweepBegan;
    private int _sweepLeft;

    // The last turn that took long. Something that was stamped with the turn's beginning may have happened at its end.
    private long _heldUpFrom = -1;
    private long _heldUpUntil;

    /// <summary>The latest time at which something can have happened that was stamped with <see cref="Now"/>.</summary>
    internal long Latest(long moment) => moment == _heldUpFrom ? _heldUpUntil : moment;

    private int Wait()
    {
        long now = Clock.Now;
        if (now - Now > StallMilliseconds && _turnStarted != 0)
        {
            Counters.Stalls++;
            (_heldUpFrom, _heldUpUntil) = (Now, now);
            _server.OnStall(Id, now - Now);
        }

        Volatile.Write(ref _turnStarted, 0);
        bool work = _mailboxPending || _ready.Count > 0 || _sync.Count > 0 || _reap.Count > 0 || _recoveryLeft > 0;
        int timeout = work ? 0 : Timeout(now);
        int n = timeout == 0 || _busyPoll == 0 ? _epoll.Wait(timeout) : WaitBusily(timeout);
        Now = Clock.Now;
        Volatile.Write(ref _turnStarted, Now);
        if (n < 0)
        {
            // EINTR: the next turn computes the timeout again (pitfall 36). Nothing was seen, so no time has passed for timers. If a timer
            // is due, the next wait does not block, and a wait that does not block is never interrupted.
            return n == -Errno.EINTR ? 0 : throw new EngineException("epoll_wait", -n);
        }

        See(n, now);
        Counters.Wakeups++;
        Counters.Events += n;
        _mailboxPending |= Gate is not null && Gate.LookAround(_mailbox.HasPosts, Now);
        return n;
    }

    /// <summary>
    /// A batch that is not full holds everything that epoll had, and epoll had everything that came before the wait. After a full batch
    /// there may be more events. They come first in the next batch, because epoll returns its events in turn. A flood therefore delays
    /// timers for one sweep over the connections, and no longer.
    /// </summary>
    private void See(int n, long beforeWait)
    {
        if (n < EventsPerTurn)
        {
            _sweepLeft = 0;
            _seen = beforeWait;
            return;
        }

        if (_sweepLeft <= 0)
        {
            _sweepBegan = beforeWait;
            _sweepLeft = _table.Count + EventsPerTurn;
        }

        _sweepLeft -= n;
        if (_sweepLeft <= 0)
        {
            _seen = _sweepBegan;
        }
    }

    /// <summary>
    /// Looks again and again before it blocks. If a peer answers within that time, the thread need not sleep, and no processor has to be
    /// woken.
    /// </summary>
    private int WaitBusily(int timeout)
    {
        long until = Stopwatch.GetTimestamp() + (timeout < 0 ? _busyPoll : Math.Min(_busyPoll, timeout * Stopwatch.Frequency / 1000));
        int n;
        do
        {
            n = _epoll.Wait(0);
            if (n != 0)
            {
                return n;
            }
        }
        while (Stopwatch.GetTimestamp() < until);

        return _epoll.Wait(Timeout(Clock.Now));
    }

    private int Timeout(long now)
    {
        int timeout = Earlier(Timers.Timeout(now), Acceptor.Timeout(now));
        return Gate is { IsOwed: true } ? Earlier(timeout, Gate.Look) : timeout;
    }

    // A negative timeout means never.
    private static int Earlier(int one, int other) => one < 0 ? other : other < 0 ? one : Math.Min(one, other);
}
