namespace C10kServer.Engine;

/// <summary>
/// A worker's side of a <see cref="SessionScheduler"/>: collects what happens in a turn, to hand it over with one lock for many. The worker's thread's, but
/// for the two counts, which say whether handler threads owe this worker an answer.
/// </summary>
internal sealed class SessionPublisher(SessionScheduler scheduler)
{
    // While something is owed the worker does not sleep for longer than this, at first: a consumer saves the wake-up when it goes straight
    // on to the next message, and if that one blocks, nobody else would look.
    private const int FirstLook = 1;
    private const int LongestLook = 64;

    // A full turn takes the better part of a millisecond: consumers begin meanwhile, instead of waiting for its end and then being waited for.
    private const int MostArrived = 16;

    private readonly List<Session> _arrived = new(MostArrived);
    private long _nudgedAt;
    private int _look = FirstLook;
    private int _owed;
    private int _unsignalled;

    /// <summary>
    /// Whether consumers have sessions of this worker's, or have posted without a wake-up. In this order: a consumer counts what it posted
    /// before it gives the session back.
    /// </summary>
    internal bool IsOwed => Volatile.Read(ref _owed) > 0 || Volatile.Read(ref _unsignalled) > 0;

    /// <summary>How long the worker may sleep while it is owed something, in milliseconds.</summary>
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

    /// <summary>Hands over what has arrived.</summary>
    internal void Publish(long now)
    {
        if (_arrived.Count > 0)
        {
            _look = FirstLook;
            scheduler.Publish(_arrived, this, now);
            _arrived.Clear();
        }
    }

    /// <summary>A session has moved here: if handler threads owe it an answer, they owe that to this worker.</summary>
    internal void TakeOver(Session session) => scheduler.TakeOver(session, this);

    /// <summary>Each turn: whether the mailbox is to be looked into, though nobody has woken this worker for it.</summary>
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

    /// <summary>The worker is over, and nobody looks around for it any more: consumers that sleep take what it has left.</summary>
    internal void Close() => scheduler.WakeAll();

    /// <summary>On the worker's thread, under the scheduler's lock: a session that waited for its peer is with the consumers again.</summary>
    internal void OweAnew()
    {
        _look = FirstLook;
        Owe();
    }

    // Under the scheduler's lock.
    internal void Owe() => Volatile.Write(ref _owed, _owed + 1);

    internal void Settle() => Volatile.Write(ref _owed, _owed - 1);

    // From consumers' threads.
    internal void BeginUnsignalled() => Interlocked.Increment(ref _unsignalled);

    internal void EndUnsignalled() => Interlocked.Decrement(ref _unsignalled);
}
