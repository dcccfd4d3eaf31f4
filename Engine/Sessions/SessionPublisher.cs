namespace C10kServer.Engine;

/// <summary>
/// A worker's side of a <see cref="SessionScheduler"/>. It collects the messages of a turn and publishes them together, so that the lock is
/// taken once for many messages. Only the worker's thread uses it, except for the two counts, which say whether handler threads owe this
/// worker an answer.
/// </summary>
internal sealed class SessionPublisher(SessionScheduler scheduler)
{
    // Milliseconds. While the worker is owed an answer, it sleeps no longer than the first number at first, and never longer than the second.
    // The reason: a consumer that goes straight on to the next message puts the wake-up off. If the handler of that message blocks, no other
    // thread would tell the worker of the answer.
    private const int FirstLook = 1;
    private const int LongestLook = 64;

    // The most sessions whose messages are collected before they are published. A full turn takes most of a millisecond, so consumers begin
    // during the turn. Otherwise they would wait for the end of the turn, and then the worker would wait for them.
    private const int MostArrived = 16;

    private readonly List<Session> _arrived = new(MostArrived);
    private long _nudgedAt;
    private int _look = FirstLook;
    private int _owed;
    private int _unsignalled;

    /// <summary>
    /// Whether consumers have sessions of this worker, or have posted without a wake-up. The counts are read in this order, because a consumer
    /// counts its post before it gives the session back.
    /// </summary>
    internal bool IsOwed => Volatile.Read(ref _owed) > 0 || Volatile.Read(ref _unsignalled) > 0;

    /// <summary>How long the worker may sleep while it is owed an answer, in milliseconds.</summary>
    internal int Look => _look;

    internal void Add(Session session, SessionMessage message, long now)
    {
        session.ArrivedWeight += message.Weight;
        if (session.ArrivedLast is { } last)
        {
            last.Next = message;
        }
        else
        {
            if (_arrived.Count >= MostArrived)
            {
                Publish(now);
            }

            session.ArrivedFirst = message;
            _arrived.Add(session);
        }

        session.ArrivedLast = message;
    }

    /// <summary>Publishes the messages that have arrived.</summary>
    internal void Publish(long now)
    {
        if (_arrived.Count > 0)
        {
            _look = FirstLook;
            scheduler.Publish(_arrived, this, now);
            _arrived.Clear();
        }
    }

    /// <summary>
    /// The session's connection has migrated to this worker. If handler threads owe the session an answer, they now owe it to this worker.
    /// </summary>
    internal void TakeOver(Session session) => scheduler.TakeOver(session, this);

    /// <summary>Called once a turn. True when the worker must read its mailbox although no thread has woken it for that.</summary>
    internal bool LookAround(bool posted, long now)
    {
        if (!IsOwed)
        {
            _look = FirstLook;
            return false;
        }

        if (now > _nudgedAt)
        {
            _nudgedAt = now;
            scheduler.Nudge(now);
        }

        _look = posted ? FirstLook : Math.Min(_look * 2, LongestLook);
        return posted;
    }

    /// <summary>
    /// The worker has ended and calls <see cref="LookAround"/> no more. Sleeping consumers are woken, and take the sessions that the worker left.
    /// </summary>
    internal void Close() => scheduler.WakeAll();

    /// <summary>On the worker's thread, under the scheduler's lock: a parked session of this worker is scheduled again.</summary>
    internal void OweAnew()
    {
        _look = FirstLook;
        Owe();
    }

    // The caller of these two holds the scheduler's lock.
    internal void Owe() => Volatile.Write(ref _owed, _owed + 1);

    internal void Settle() => Volatile.Write(ref _owed, _owed - 1);

    // These two are called on consumers' threads.
    internal void BeginUnsignalled() => Interlocked.Increment(ref _unsignalled);

    internal void EndUnsignalled() => Interlocked.Decrement(ref _unsignalled);
}
