namespace C10kServer.Engine;

// When it has to have come further: what the timer wheel asks.
public sealed partial class Connection
{
    ITimed? ITimed.Next { get; set; }

    ITimed? ITimed.Previous { get; set; }

    long ITimed.Due { get; set; }

    // The first message has to be complete by then, however busily its bytes trickle in.
    private long HandshakeDeadline =>
        _state == ConnectionState.Open && MessagesReceived == 0 && !ReadPaused ? Clock.Add(_started, _worker.HandshakeTimeout) : Clock.Never;

    // A message that has begun has to be complete by then: idleness alone does not catch who sends a byte now and then
    // (pitfall 28).
    private long MessageDeadline =>
        _state == ConnectionState.Open && _input is { Length: > 0 } && IsReading
            ? Clock.Add(_input.MessageBegan, _worker.MessageTimeout)
            : Clock.Never;

    // Queued output has the write timeout instead: a slow reader is not idle.
    private bool IsIdleTimed => _state is ConnectionState.Open or ConnectionState.HalfClosed && SendQueue == 0;

    /// <summary>The wheel asks: has a deadline passed, and when is the next?</summary>
    void ITimed.OnDeadline(long now)
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
            if (_unsentAtLastLook == 0 && now >= Clock.Add(_lastProgress, _worker.LingerTimeout))
            {
                Finish(_reason);
            }
        }
        else if (now >= HandshakeDeadline)
        {
            BeginClose(CloseReason.HandshakeTimeout);
        }
        else if (now >= MessageDeadline)
        {
            BeginClose(CloseReason.MessageTimeout);
        }
        else if (IsIdleTimed && now >= Clock.Add(_lastActivity, _worker.IdleTimeout))
        {
            if (Tag is Session { Outstanding: > 0 })
            {
                // It waits for its handler, and that one has a timeout of its own.
                _lastActivity = now;
            }
            else
            {
                BeginClose(CloseReason.IdleTimeout);
            }
        }

        ScheduleDeadline();
    }

    /// <summary>The options have changed: what was reckoned with the old ones is reckoned again.</summary>
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
        if (SendQueue > 0 || _unsentAtLastLook > 0)
        {
            deadline = Clock.Add(_worker.Now, _worker.StallLookInterval);
        }

        if ((_flags & Flags.WriteShut) != 0)
        {
            // While the kernel still holds output, look now and then whether the peer has taken it.
            deadline = Math.Min(deadline, Clock.Add(_unsentAtLastLook == 0 ? _lastProgress : _worker.Now, _worker.LingerTimeout));
        }
        else if (IsIdleTimed)
        {
            deadline = Math.Min(deadline, Clock.Add(_lastActivity, _worker.IdleTimeout));
        }

        deadline = Math.Min(deadline, Math.Min(HandshakeDeadline, MessageDeadline));

        _worker.Timers.Schedule(this, deadline);
    }
}
