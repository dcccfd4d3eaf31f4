using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// A handler thread's side of a <see cref="SessionScheduler"/>: gives it one message after the other, each of a session that no other thread has
/// at that time. Made and used on one thread, except for <see cref="Abandon"/>.
/// </summary>
public sealed class SessionConsumer
{
    // A session's turn: then others have theirs, as with connections on a worker.
    private const int MessagesPerTurn = 64;

    // Wake-ups of workers are saved for so long, while one message follows the other: long enough for some dozens of quick handlers, far below
    // what anybody notices.
    private static readonly long SavingTicks = Stopwatch.Frequency / 4_000;

    [ThreadStatic]
    private static SessionConsumer? t_current;

    private readonly SessionScheduler _scheduler;

    // The thread's, and its own lock: the thread may send while another one abandons it.
    private readonly List<Worker> _toWake = [];
    private SessionMessage? _next;
    private int _turn;
    private int _weight;

    // When it got the message that it is at; 0 while it is at none. Others look at it.
    private long _began;
    private long _savingSince;
    private volatile bool _over;

    // A handler on the thread waits here for its peer to take output. The monitor guards what follows it.
    private readonly object _waiting = new();
    private bool _released;

    /// <summary>For the calling thread.</summary>
    public SessionConsumer(SessionScheduler scheduler)
    {
        ArgumentNullException.ThrowIfNull(scheduler);
        _scheduler = scheduler;
        t_current = this;
        scheduler.Join(this);
    }

    /// <summary>Whose message the thread has at present.</summary>
    public Session? Session { get; private set; }

    /// <summary>It waits for a session. The scheduler's lock's.</summary>
    internal bool IsAsleep { get; set; }

    /// <summary>The calling thread's, if it has one.</summary>
    internal static SessionConsumer? Current => t_current;

    /// <summary>Waits for the next message. With the call, the one before counts as done. False when no more will come.</summary>
    public bool TryTake([NotNullWhen(true)] out Session? session, [NotNullWhen(true)] out SessionMessage? message)
    {
        while (!_over)
        {
            long now = Stopwatch.GetTimestamp();
            if (_toWake.Count > 0 && (now - _began > SavingTicks || now - _savingSince > SavingTicks))
            {
                // Handlers that take their time: the next one may, too.
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

            // Who keeps a message keeps none that came after it.
            message.Next = null;
            _weight += message.Weight;
            _turn++;
            if (message.Kind == SessionEvent.PeerClosed)
            {
                // Everything that came before is answered.
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
    /// From another thread, while this one is stuck in a handler: its session goes to the others. The caller sees to it that the thread
    /// does not come back to this object but for <see cref="Leave"/>.
    /// </summary>
    public void Abandon() => GiveUp();

    /// <summary>On the thread, at its end; after <see cref="Abandon"/> too.</summary>
    public void Leave()
    {
        t_current = null;
        GiveUp();
    }

    /// <summary>
    /// On the thread: the worker gets its wake-up when this one has nothing more to do, or after a moment. At once when the thread was
    /// abandoned meanwhile: it may send nevertheless.
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
    /// Whether it may be expected to take a session soon: it does not sleep, and is not at a message since before that time. Under the
    /// scheduler's lock.
    /// </summary>
    internal bool IsFree(long since)
    {
        long began = Volatile.Read(ref _began);
        return !IsAsleep && (began == 0 || began >= since);
    }

    /// <summary>On the thread, before it looks whether it has to wait. False when it was abandoned, and is not to wait.</summary>
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

    /// <summary>From any thread: what the handler on the thread waits for may have come.</summary>
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

        // No longer this thread's once it is given back: a resume that follows wakes the worker, which need not look by itself by then.
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
