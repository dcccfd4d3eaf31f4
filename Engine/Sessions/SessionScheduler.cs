using System.Diagnostics;

namespace C10kServer.Engine;

/// <summary>
/// Stands between the workers of a server and its handler threads. Sessions that have messages wait here for a consumer. One consumer at a
/// time has a session, and the session's messages stay in order. Any consumer takes any session, so a consumer that is held up holds up no
/// other. The queues are bounded in both directions: a connection with too many messages is not read, and a session whose peer has too much
/// output to take is parked. There is one lock; a worker takes it once a turn and a consumer once a session. Members may be called from any
/// thread.
/// </summary>
public sealed class SessionScheduler
{
    /// <summary>Bytes of messages that may wait on one connection. Above the limit, the connection is not read until half of it is left.</summary>
    internal const int SessionLimit = 64 * 1024;

    /// <summary>Bytes of waiting messages of all connections. Above the limit, no connection is read until its own messages are done.</summary>
    internal const long Limit = 64 * 1024 * 1024;

    /// <summary>How much a message counts besides its own bytes, in bytes.</summary>
    internal const int MessageOverhead = 64;

    // When the first session in line has waited for this long, the consumers that are awake do not keep up, or are held up. A shorter wait is
    // not worth another thread, because that thread would compete with the worker for a processor.
    private const int PatienceMilliseconds = 2;

    // A consumer that has been handling one message for longer than this is held up.
    private static readonly long PatienceTicks = PatienceMilliseconds * Stopwatch.Frequency / 1000;

    private readonly object _gate = new();
    private readonly SessionQueue _ready = new();
    private readonly List<SessionConsumer> _consumers = [];
    private readonly SessionHandler _handler;
    private int _asleep;
    private int _wakesUnderWay;
    private bool _closed;
    private long _outstanding;
    private long _errors;
    private long _timeouts;

    /// <param name="decoder">Turns bytes into messages.</param>
    /// <param name="tellsOpened">Consumers get <see cref="SessionEvent.Opened"/>.</param>
    /// <param name="tellsClosed">Consumers get <see cref="SessionEvent.Closed"/>.</param>
    public SessionScheduler(MessageDecoder decoder, bool tellsOpened = false, bool tellsClosed = false)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        _handler = new SessionHandler(this, decoder, tellsOpened, tellsClosed);
    }

    /// <summary>The number of sessions that wait for a consumer.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _ready.Count;
            }
        }
    }

    /// <summary>How many errors handlers have met on this scheduler's consumers.</summary>
    public long HandlerErrors => Interlocked.Read(ref _errors);

    /// <summary>How many times a handler took too long.</summary>
    public long HandlerTimeouts => Interlocked.Read(ref _timeouts);

    /// <summary>The handler factory that a server's options take together with this scheduler.</summary>
    internal Func<ConnectionHandler> HandlerFactory => () => _handler;

    internal bool IsFull => Volatile.Read(ref _outstanding) > Limit;

    /// <summary>
    /// No more messages will come, because the server has ended. Consumers take the remaining sessions, and get no more after that.
    /// </summary>
    public void Complete()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Does what <see cref="Complete"/> does, and drops the sessions that are left.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _closed = true;
            _ready.Clear();
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>From a worker's thread: puts the messages that have arrived on the sessions in line for consumers.</summary>
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

    /// <summary>From the worker of a parked session: its output has drained, or its connection has ended.</summary>
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

    /// <summary>From the worker that a session's connection has migrated to.</summary>
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

    /// <summary>From a worker that waits for answers: wakes another consumer if the consumers that are awake are held up.</summary>
    internal void Nudge(long now)
    {
        lock (_gate)
        {
            WakeIfNeeded(now);
        }
    }

    /// <summary>From a worker at its end: wakes the sleeping consumers if sessions are waiting.</summary>
    internal void WakeAll()
    {
        lock (_gate)
        {
            if (_ready.Count > 0)
            {
                _wakesUnderWay = _asleep;
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>
    /// Gives back the session that a consumer is done with, and takes the next one. Null when no session is ready: then the consumer wakes
    /// the workers whose wake-ups it has put off, and calls <see cref="WaitAndTake"/>.
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

    /// <summary>Waits for a session. Null when no more sessions will come.</summary>
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

    /// <summary>A consumer ends. It gives back its session if it has one, together with the messages that it has not handled.</summary>
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
            // The session's turn is over, and these messages are not handled yet. They go before the messages that have arrived since.
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
            if (!_ready.TryDequeue(out session))
            {
                chain = null;
                return null;
            }


            if (!TryPark(session))
            {
                break;
            }

            // Another thread has sent output on the session's connection since the session was scheduled.
            session.Scheduled = false;
            session.Gate!.Settle();
        }

        chain = session.ChainFirst;
        session.ChainFirst = session.ChainLast = null;
        if (_ready.Count > 0 && _asleep > 0)
        {
            WakeIfNeeded(Clock.Now);
        }

        return session;
    }

    /// <summary>
    /// Parks a session whose peer has too much output to take. No consumer gets its messages until its worker calls <see cref="Unpark"/>.
    /// False when the session is not clogged.
    /// </summary>
    private static bool TryPark(Session session)
    {
        if (!session.IsClogged)
        {
            return false;
        }

        session.IsParked = true;

        // The worker first writes how much it has sent and then reads IsParked. This thread has written IsParked and now reads how much was
        // sent. With a full fence on both sides, at least one of the two threads sees the other's write.
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
        _ready.Enqueue(session);
    }

    private void WakeIfNeeded(long now)
    {
        if (_ready.First is { } first
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
