using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// A handler thread's side of a <see cref="SessionScheduler"/>. It gives the thread one message after the other, each of a session that no
/// other thread has at that time. It is made and used on one thread, except for <see cref="Abandon"/>.
/// </summary>
public sealed class SessionConsumer
{
    // A session's turn ends after this many messages, so that other sessions get theirs. A worker treats its connections in the same way.
    private const int MessagesPerTurn = 64;

    // While one message follows the other, the wake-ups of workers are put off for this long, 250 µs. That is long enough for some dozens of
    // quick handlers, and far shorter than a delay that a user notices.
    private static readonly long SavingTicks = Stopwatch.Frequency / 4_000;

    [ThreadStatic]
    private static SessionConsumer? t_current;

    private readonly SessionScheduler _scheduler;

    // The workers whose wake-ups are put off. The list is also its own lock, because the thread may send while another thread abandons it.
    private readonly List<Worker> _toWake = [];
    private SessionMessage? _next;
    private int _turn;
    private int _weight;

    // When the thread got the message that it is handling; 0 while it handles none. Other threads read it.
    private long _began;
    private long _savingSince;
    private volatile bool _over;

    // A handler on the thread waits on this object until its peer has taken output. The monitor guards _released.
    private readonly object _waiting = new();
    private bool _released;

    /// <summary>Makes the calling thread a consumer of the scheduler.</summary>
    public SessionConsumer(SessionScheduler scheduler)
    {
        ArgumentNullException.ThrowIfNull(scheduler);
        _scheduler = scheduler;
        t_current = this;
        scheduler.Join(this);
    }

    /// <summary>The session whose message the thread has at present.</summary>
    public Session? Session { get; private set; }

    /// <summary>The thread waits for a session. Guarded by the scheduler's lock.</summary>
    internal bool IsAsleep { get; set; }

    /// <summary>The calling thread's consumer, if it has one.</summary>
    internal static SessionConsumer? Current => t_current;

    /// <summary>Waits for the next message. The call also marks the previous message as done. False when no more messages will come.</summary>
    public bool TryTake([NotNullWhen(true)] out Session? session, [NotNullWhen(true)] out SessionMessage? message)
    {
        while (!_over)
        {
            long now = Stopwatch.GetTimestamp();
            if (_toWake.Count > 0 && (now - _began > SavingTicks || now - _savingSince > SavingTicks))
            {
                // The handlers so far have taken longer than that. The wake-ups go out now, because the next handler may be slow, too.
                WakeAll();
            }

            if ((_next is null || _turn >= MessagesPerTurn || Session!.IsClogged) && !TakeSession(ref now))
            {
                break;
            }

            Volatile.Write(ref _began, now);
            message = _next!;
            session = Session!;
            _next = message.Next;

            // Cleared so that a handler that keeps this message does not keep the later messages in memory.
            message.Next = null;
            _weight += message.Weight;
            _turn++;
            if (message.Kind == SessionEvent.PeerClosed)
            {
                // Every earlier message has been answered, so the session can close.
                session.Close();
            }
            else if (message.Kind != SessionEvent.Received || !session.IsDeaf)
            {
                return true;
            }
        }

        session = null;
        message = null;
        return false;
    }

    /// <summary>
    /// From another thread, while this one is stuck in a handler: gives the session to the other consumers. The caller makes sure that the
    /// stuck thread does not use this object afterwards, except for <see cref="Leave"/>.
    /// </summary>
    public void Abandon() => GiveUp();

    /// <summary>On the thread, at its end. Also called after <see cref="Abandon"/>.</summary>
    public void Leave()
    {
        t_current = null;
        GiveUp();
    }

    /// <summary>
    /// On the thread: wakes the worker when this thread has nothing more to do, or after a moment. If the thread was abandoned meanwhile, the
    /// worker is woken at once, because an abandoned thread can still send.
    /// </summary>
    internal void WakeLater(Worker worker)
    {
        lock (_toWake)
        {
            if (!_over)
            {
                if (!_toWake.Contains(worker))
                {
                    if (_toWake.Count == 0)
                    {
                        _savingSince = _began;
                    }

                    worker.Gate!.BeginUnsignalled();
                    _toWake.Add(worker);
                }

                return;
            }
        }

        worker.Wake();
    }

    /// <summary>
    /// Whether the consumer is expected to take a session soon: it is not asleep, and it did not get its present message before the given time.
    /// The caller holds the scheduler's lock.
    /// </summary>
    internal bool IsFree(long since)
    {
        long began = Volatile.Read(ref _began);
        return !IsAsleep && (began == 0 || began >= since);
    }

    /// <summary>On the thread, before it checks whether it has to wait. False when the consumer was abandoned and must not wait.</summary>
    internal bool BeginWait()
    {
        lock (_waiting)
        {
            _released = false;
        }

        WakeAll();
        return !_over;
    }

    /// <summary>On the thread: waits until <see cref="Release"/> has been called since <see cref="BeginWait"/>.</summary>
    internal void WaitForRelease()
    {
        lock (_waiting)
        {
            while (!_released)
            {
                Monitor.Wait(_waiting);
            }
        }
    }

    /// <summary>From any thread: makes the waiting handler check again, because the event that it waits for may have happened.</summary>
    internal void Release()
    {
        lock (_waiting)
        {
            _released = true;
            Monitor.Pulse(_waiting);
        }
    }

    private bool TakeSession(ref long now)
    {
        Volatile.Write(ref _began, 0);

        // Cleared before the session is given back, so that a Resume in Exchange wakes the worker at once. By then the worker may no longer
        // look by itself, because nothing is owed to it any more.
        Session? done = Session;
        Session = null;
        Session = _scheduler.Exchange(done, _next, _weight, out _next);
        if (Session is null)
        {
            WakeAll();
            Session = _scheduler.WaitAndTake(this, out _next);
            now = Stopwatch.GetTimestamp();
        }

        _turn = 0;
        _weight = 0;
        return Session is not null;
    }

    private void GiveUp()
    {
        lock (_toWake)
        {
            if (_over)
            {
                return;
            }

            _over = true;
        }

        Release();
        Session? session = Session;
        Session = null;
        _scheduler.Leave(this, session, _next, _weight);
        WakeAll();
    }

    private void WakeAll()
    {
        lock (_toWake)
        {
            foreach (Worker worker in _toWake)
            {
                worker.Wake();
                worker.Gate!.EndUnsignalled();
            }

            _toWake.Clear();
        }
    }
}
