using System.Diagnostics;

namespace C10kServer.Engine;

/// <summary>
/// Between the workers of a server and its handler threads: sessions on which something has happened wait here for a consumer. A session is
/// with one consumer at a time, and its messages are in order; any consumer takes any session, so one that is held up
/// holds up no other. What waits is bounded in both directions: a connection with too many messages is not read, and a session whose peer has
/// too much output to take is parked. One lock, taken once a turn by a worker and once a session by a consumer. From any thread.
/// </summary>
public sealed class SessionScheduler
{
    /// <summary>Bytes of messages that a connection may have waiting; above it is not read until half of it is left.</summary>
    internal const int SessionLimit = 64 * 1024;

    /// <summary>Bytes of messages of all connections; above, none is read before its own are done.</summary>
    internal const long Limit = 64 * 1024 * 1024;

    /// <summary>What a message costs beside its bytes.</summary>
    internal const int MessageOverhead = 64;

    // When the first in line has waited for so long, those that are awake do not keep up, or are held up. Shorter waits are not worth
    // a further thread, which would compete with the worker for a processor.
    private const int PatienceMilliseconds = 2;

    // Who is at a message for longer than that is held up.
    private static readonly long PatienceTicks = PatienceMilliseconds * Stopwatch.Frequency / 1000;

    private readonly object _gate = new();

    // Sessions that wait for a consumer, linked through NextReady: putting one in takes no memory and so cannot fail half way.
    private Session? _readyFirst;
    private Session? _readyLast;
    private int _readyCount;
    private readonly List<SessionConsumer> _consumers = [];
    private readonly SessionHandler _handler;
    private int _asleep;
    private int _wakesUnderWay;
    private bool _closed;
    private long _outstanding;
    private long _errors;
    private long _timeouts;

    /// <param name="decoder">Makes messages of bytes.</param>
    /// <param name="tellsOpened">Consumers get <see cref="SessionEvent.Opened"/>.</param>
    /// <param name="tellsClosed">Consumers get <see cref="SessionEvent.Closed"/>.</param>
    public SessionScheduler(MessageDecoder decoder, bool tellsOpened = false, bool tellsClosed = false)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        _handler = new SessionHandler(this, decoder, tellsOpened, tellsClosed);
    }

    /// <summary>Sessions that wait for a consumer.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _readyCount;
            }
        }
    }

    /// <summary>Errors that handlers have met on its consumers.</summary>
    public long HandlerErrors => Interlocked.Read(ref _errors);

    /// <summary>Handlers that took too long.</summary>
    public long HandlerTimeouts => Interlocked.Read(ref _timeouts);

    /// <summary>What a server's options take beside it.</summary>
    internal Func<ConnectionHandler> HandlerFactory => () => _handler;

    internal bool IsFull => Volatile.Read(ref _outstanding) > Limit;

    /// <summary>
    /// No more will come, as the server has ended. Consumers take what is left, and then get nothing.
    /// </summary>
    public void Complete()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>As <see cref="Complete"/>, and what is left is dropped.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _closed = true;
            (_readyFirst, _readyLast, _readyCount) = (null, null, 0);
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>From a worker's thread.</summary>
    internal void Publish(List<Session> sessions, SessionPublisher gate, long now)
    {
        lock (_gate)
        {
            foreach (Session session in sessions)
            {
                _outstanding += session.ArrivedWeight;
                session.AddOutstanding(session.ArrivedWeight);
                session.ArrivedWeight = 0;
                if (session.ChainLast is { } last)
                {
                    last.Next = session.ArrivedFirst;
                }
                else
                {
                    session.ChainFirst = session.ArrivedFirst;
                }

                session.ChainLast = session.ArrivedLast;
                session.ArrivedFirst = session.ArrivedLast = null;
                if (!session.Scheduled && !session.IsParked && !TryPark(session))
                {
                    session.Gate = gate;
                    gate.Owe();
                    Schedule(session, now);
                }
            }

            WakeIfNeeded(now);
        }
    }

    /// <summary>From the worker of a session that was parked: its output has drained, or its connection is over.</summary>
    internal void Unpark(Session session)
    {
        lock (_gate)
        {
            if (!session.IsParked)
            {
                return;
            }

            session.IsParked = false;
            if (session.ChainFirst is not null)
            {
                long now = Clock.Now;
                session.Gate = session.Connection.Worker.Gate!;
                session.Gate.OweAnew();
                Schedule(session, now);
                WakeIfNeeded(now);
            }
        }
    }

    /// <summary>From the worker that a session's connection has moved to.</summary>
    internal void TakeOver(Session session, SessionPublisher gate)
    {
        lock (_gate)
        {
            if (session.Scheduled)
            {
                session.Gate!.Settle();
                session.Gate = gate;
                gate.Owe();
            }
        }
    }

    /// <summary>From a worker that waits for answers: if those awake are held up, another consumer is woken.</summary>
    internal void Nudge(long now)
    {
        lock (_gate)
        {
            WakeIfNeeded(now);
        }
    }

    /// <summary>From a worker at its end.</summary>
    internal void WakeAll()
    {
        lock (_gate)
        {
            if (_readyFirst is not null)
            {
                _wakesUnderWay = _asleep;
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>
    /// Gives back the session that a consumer is done with, and takes the next. Null where nothing is ready: then the consumer
    /// sees to its wake-ups and calls <see cref="WaitAndTake"/>.
    /// </summary>
    internal Session? Exchange(Session? done, SessionMessage? rest, int weight, out SessionMessage? chain)
    {
        Session? taken;
        bool room;
        lock (_gate)
        {
            room = GiveBack(done, rest, weight);
            taken = TryTake(out chain);
        }

        if (room)
        {
            done!.Resume();
        }

        return taken;
    }

    /// <summary>Waits for a session. Null when no more will come.</summary>
    internal Session? WaitAndTake(SessionConsumer consumer, out SessionMessage? chain)
    {
        lock (_gate)
        {
            while (true)
            {
                if (TryTake(out chain) is { } session)
                {
                    return session;
                }

                if (_closed)
                {
                    return null;
                }

                consumer.IsAsleep = true;
                _asleep++;
                Monitor.Wait(_gate);
                _asleep--;
                consumer.IsAsleep = false;
                if (_wakesUnderWay > 0)
                {
                    _wakesUnderWay--;
                }
            }
        }
    }

    internal void Join(SessionConsumer consumer)
    {
        lock (_gate)
        {
            _consumers.Add(consumer);
        }
    }

    /// <summary>A consumer ends, with a session perhaps that it had not got through with.</summary>
    internal void Leave(SessionConsumer consumer, Session? session, SessionMessage? rest, int weight)
    {
        bool room;
        lock (_gate)
        {
            _consumers.Remove(consumer);
            room = GiveBack(session, rest, weight);
            WakeIfNeeded(Clock.Now);
        }

        if (room)
        {
            session!.Resume();
        }
    }

    internal void CountError() => Interlocked.Increment(ref _errors);

    internal void CountTimeout() => Interlocked.Increment(ref _timeouts);

    private bool GiveBack(Session? done, SessionMessage? rest, int weight)
    {
        if (done is null)
        {
            return false;
        }

        done.AddOutstanding(-weight);
        _outstanding -= weight;
        if (rest is not null)
        {
            // Its turn is over though more had come: before what came since.
            SessionMessage last = rest;
            while (last.Next is not null)
            {
                last = last.Next;
            }

            last.Next = done.ChainFirst;
            done.ChainFirst = rest;
            done.ChainLast ??= last;
        }

        if (done.ChainFirst is null || TryPark(done))
        {
            done.Scheduled = false;
            done.Gate!.Settle();
        }
        else
        {
            Schedule(done, Clock.Now);
        }

        if (done.WantsRoom && done.Outstanding <= SessionLimit / 2)
        {
            done.WantsRoom = false;
            return true;
        }

        return false;
    }

    private Session? TryTake(out SessionMessage? chain)
    {
        Session? session;
        while (true)
        {
            session = _readyFirst;
            if (session is null)
            {
                chain = null;
                return null;
            }

            _readyFirst = session.NextReady;
            session.NextReady = null;
            _readyCount--;

            if (!TryPark(session))
            {
                break;
            }

            // Others have sent on its connection since it was scheduled.
            session.Scheduled = false;
            session.Gate!.Settle();
        }

        chain = session.ChainFirst;
        session.ChainFirst = session.ChainLast = null;
        if (_readyFirst is not null && _asleep > 0)
        {
            WakeIfNeeded(Clock.Now);
        }

        return session;
    }

    /// <summary>
    /// A session whose peer has too much output to take gets no further message: its worker calls <see cref="Unpark"/> when that has changed.
    /// </summary>
    private static bool TryPark(Session session)
    {
        if (!session.IsClogged)
        {
            return false;
        }

        session.IsParked = true;

        // The worker writes what it has sent and then looks whether the session is parked; here it is the other way round.
        Interlocked.MemoryBarrier();
        if (session.IsClogged)
        {
            return true;
        }

        session.IsParked = false;
        return false;
    }

    private void Schedule(Session session, long now)
    {
        session.Scheduled = true;
        session.ScheduledAt = now;
        if (_readyFirst is null)
        {
            _readyFirst = session;
        }
        else
        {
            _readyLast!.NextReady = session;
        }

        _readyLast = session;
        _readyCount++;
    }

    private void WakeIfNeeded(long now)
    {
        if (_readyFirst is { } first
            && _asleep > _wakesUnderWay
            && (now - first.ScheduledAt >= PatienceMilliseconds || (_wakesUnderWay == 0 && !IsAnyFree())))
        {
            _wakesUnderWay++;
            Monitor.Pulse(_gate);
        }
    }

    private bool IsAnyFree()
    {
        long since = Stopwatch.GetTimestamp() - PatienceTicks;
        foreach (SessionConsumer consumer in _consumers)
        {
            if (consumer.IsFree(since))
            {
                return true;
            }
        }

        return false;
    }
}
