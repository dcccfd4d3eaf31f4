using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// The deadlines by which a connection must have made progress. The timer wheel asks for them.
public sealed partial class Connection
{
    ITimed? ITimed.Next { get; set; }

    ITimed? ITimed.Previous { get; set; }

    uint ITimed.Due { get; set; }

    // The first message must be complete by then, however steadily its bytes trickle in.
    private long HandshakeDeadline =>
        _state == ConnectionState.Open && MessagesReceived == 0 && !IsPaused
            ? Clock.Add(_worker.Latest(_moments.Started), _worker.HandshakeTimeout)
            : Clock.Never;

    // A message that has begun must be complete by then, because the idle timeout does not catch a peer that sends a byte now and then
    // (pitfall 28).
    private long MessageDeadline =>
        _state == ConnectionState.Open && Input is { Length: > 0 } && IsReading
            ? Clock.Add(_worker.Latest(Input.MessageBegan), _worker.MessageTimeout)
            : Clock.Never;

    // A row shows the time since bytes moved. A connection is still not idle if its handler works or if its peer still takes an answer. Its
    // deadline then counts from the last time at which this was seen.
    private long IdleDeadline => IsIdleTimed
        ? Clock.Add(Math.Max(_worker.Latest(_moments.LastActivity), _pendingIo?.LastStir ?? 0), _worker.IdleTimeout)
        : Clock.Never;

    // Queued output has the write timeout instead, because a slow reader is not idle.
    private bool IsIdleTimed => _state is ConnectionState.Open or ConnectionState.HalfClosed && SendQueue == 0;

    /// <summary>
    /// Called by the wheel. Checks whether a deadline has passed, and schedules the next one. All events from before <paramref name="now"/>
    /// have been dispatched.
    /// </summary>
    void ITimed.OnDeadline(long now)
    {
        try
        {
            LookAtDeadlines(now);
        }
        catch (OutOfMemoryException)
        {
            _worker.OnMemoryExhausted(this);
        }
    }

    private void LookAtDeadlines(long now)
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        if (IsPeerStalled(now))
        {
            Abort(CloseReason.WriteTimeout);
        }
        else if ((_flags & Flags.WriteShut) != 0)
        {
            if (_pendingIo!.Unsent == 0 && now >= Clock.Add(_worker.Latest(_pendingIo.LastProgress), _worker.LingerTimeout))
            {
                Finish(_reason);
            }
        }
        else if (Overdue(now) is not CloseReason.None and var reason && !(IsReading && Sockets.UnreadBytes(Fd) > 0))
        {
            // A deadline does not count while bytes wait that came before it. They may wait because a turn takes no more than a buffer of
            // them, or because reading was resumed in this turn.
            BeginClose(reason);
        }

        ScheduleDeadline();
    }

    private CloseReason Overdue(long now) =>
        now >= HandshakeDeadline ? CloseReason.HandshakeTimeout
        : now >= MessageDeadline ? CloseReason.MessageTimeout
        : now >= IdleDeadline && !Stirs(now) ? CloseReason.IdleTimeout
        : CloseReason.None;

    /// <summary>
    /// Whether a connection on which no bytes have moved for the idle timeout is still not idle. This is so if its handler works (a handler
    /// has a timeout of its own), or if its peer has taken some of an answer that the kernel holds. A peer that takes nothing gets one
    /// further idle timeout, counted from the first check.
    /// </summary>
    private bool Stirs(long now)
    {
        bool stirs = Tag is Session { IsBusy: true } || (_flags & (Flags.PausedBySession | Flags.PausedByBudget)) != 0;
        if (!stirs)
        {
            int unsent = Sockets.UnsentBytes(Fd);
            bool looked = _pendingIo is not null && _pendingIo.LastStir > _moments.LastActivity;
            stirs = unsent > 0 && !(looked && unsent == _pendingIo!.Unsent);
            if (stirs)
            {
                (_pendingIo ??= new PendingIo()).Unsent = unsent;
            }
        }

        if (stirs)
        {
            (_pendingIo ??= new PendingIo()).LastStir = now;
        }

        return stirs;
    }

    /// <summary>Called when the options have changed. The deadlines are computed again.</summary>
    internal void Reconfigure()
    {
        if (_state != ConnectionState.Closed)
        {
            ScheduleDeadline();
        }
    }

    private void ScheduleDeadline()
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        long deadline = Clock.Never;
        if (SendQueue > 0 || ((_flags & Flags.WriteShut) != 0 && _pendingIo!.Unsent > 0))
        {
            deadline = Clock.Add(_worker.Now, _worker.StallLookInterval);
        }

        if ((_flags & Flags.WriteShut) != 0)
        {
            // While the kernel still holds output, check now and then whether the peer has taken it.
            long from = _pendingIo!.Unsent == 0 ? _worker.Latest(_pendingIo.LastProgress) : _worker.Now;
            deadline = Math.Min(deadline, Clock.Add(from, _worker.LingerTimeout));
        }
        else
        {
            deadline = Math.Min(deadline, Math.Min(IdleDeadline, Math.Min(HandshakeDeadline, MessageDeadline)));
        }

        _worker.Timers.Schedule(this, deadline);
    }
}
