namespace C10kServer.Engine;

// Completions: callbacks that are due run from here and nowhere else, on a fresh stack.
public sealed partial class Connection
{
    /// <summary>
    /// Runs callbacks that are due, within the budget. Returns true when more are due; the connection then stays in the ready list.
    /// </summary>
    internal bool RunCallbacks()
    {
        if (_state == ConnectionState.Closing)
        {
            // The input is not made into messages any more. It is dropped now, because the end may take its time.
            Input?.Discard();
        }

        // Bytes count too, because a callback may write as much as the socket takes: a stream to a fast reader is a chain of such
        // callbacks.
        long sendUpTo = BytesSent + SendBytesPerTurn;
        for (int i = 0; i < CallbacksPerTurn && BytesSent < sendUpTo; i++)
        {
            try
            {
                if (!RunCallback())
                {
                    _flags &= ~Flags.InReadyList;
                    SetInputDue(false);
                    return false;
                }
            }
            catch (Exception e)
            {
                FailHandler(e);
            }
        }

        // A peer that sends many small messages must not fill the memory while they wait for their turn (pitfall 29).
        SetInputDue(Input is { Length: > 0 });
        return true;
    }

    private void SetInputDue(bool due)
    {
        if (due != ((_flags & Flags.InputDue) != 0))
        {
            _flags ^= Flags.InputDue;
            MarkChanged();
            if (!due && Input is { Length: > 0 })
            {
                // The input now begins with an unfinished message. It had no deadline while the messages before it were due.
                _worker.Timers.ScheduleEarlier(this, Clock.Add(Input.MessageBegan, _worker.MessageTimeout));
            }
        }
    }

    /// <summary>
    /// Runs the next callback that is due. Each request leaves its queue before its callback runs, and the state is read again for each
    /// callback.
    /// </summary>
    private bool RunCallback()
    {
        if (Requests is not null && Requests.TryTakeWritten(BytesSent, out WriteCallback? written))
        {
            written!(this, CloseReason.None);
            return true;
        }

        if (_state == ConnectionState.Closed)
        {
            return RunClosedCallback();
        }

        if ((_flags & Flags.TellDrained) != 0 && _state != ConnectionState.Closing)
        {
            _flags &= ~Flags.TellDrained;
            _handler.OnDrained(this);
            return true;
        }

        if (Requests is { HasReads: true })
        {
            if (RunReadCallback())
            {
                return true;
            }

            if (IsPaused)
            {
                return false;
            }
        }
        else if (Input is { Length: > 0 } && _worker.Framing is not null && (_flags & Flags.Pulled) == 0)
        {
            if (!TakesMessages)
            {
                // The connection is paused, so the messages are handled later.
                return false;
            }

            if (RunFramedCallback(_worker.Framing))
            {
                return true;
            }
        }

        if ((_flags & Flags.TellPeerEnded) != 0 && _state == ConnectionState.HalfClosed)
        {
            _flags &= ~Flags.TellPeerEnded;
            _handler.OnPeerClosed(this);
            return true;
        }

        return false;
    }

    private bool RunReadCallback()
    {
        if (_state == ConnectionState.Closing)
        {
            return RunFailedRead(_reason);
        }

        if (IsPaused)
        {
            return false;
        }

        switch (Requests!.TryTakeRead(Input, _worker.Now, out ReadCallback? callback, out ReadOnlySpan<byte> data))
        {
            case FrameResult.Complete:
                MessagesReceived++;
                _worker.Counters.MessagesReceived++;
                MarkChanged();
                try
                {
                    callback!(this, data, CloseReason.None);
                }
                finally
                {
                    Input?.Release();
                }

                return true;

            case FrameResult.TooLong:
                CloseTooLong(Requests.FirstMaximum, byHandler: true);
                return true;

            default:
                if ((_flags & Flags.PeerEnded) == 0)
                {
                    return false;
                }

                _flags |= Flags.ReadsEnded;
                return RunFailedRead(EndReason);
        }
    }

    /// <summary>Handles the next message of the buffered input. Returns false when there is no complete message.</summary>
    private bool RunFramedCallback(Framing framing)
    {
        InputBuffer input = Input!;
        ReadOnlySpan<byte> bytes = input.Bytes;
        int scanned = input.Scanned;
        FrameResult result = framing.TryRead(bytes, _worker.Options.MaxMessage, ref scanned, out ReadOnlySpan<byte> message, out int consumed);
        input.Scanned = scanned;
        if (result == FrameResult.TooLong)
        {
            CloseTooLong(_worker.Options.MaxMessage);
            return true;
        }

        if (result == FrameResult.Partial)
        {
            if (!framing.EndEndsMessage || (_flags & Flags.PeerEnded) == 0)
            {
                return false;
            }

            message = framing.Rest(bytes);
            consumed = bytes.Length;
            if (message.Length > _worker.Options.MaxMessage)
            {
                // The excess might have been the beginning of a delimiter. At the peer's end it belongs to the message.
                CloseTooLong(_worker.Options.MaxMessage);
                return true;
            }
        }

        input.Consume(consumed, _worker.Now);
        HandOn(message);
        input.Release();
        return true;
    }

    private bool RunFailedRead(CloseReason reason)
    {
        if (Requests!.TryTakeRead(out ReadCallback? callback))
        {
            callback!(this, default, reason);
            return true;
        }

        return false;
    }

    private bool RunClosedCallback()
    {
        if (Requests is not null)
        {
            if (Requests.TryTakeRead(out ReadCallback? read))
            {
                read!(this, default, _reason);
                return true;
            }

            if (Requests.TryTakeWrite(out WriteCallback? write))
            {
                write!(this, _reason);
                return true;
            }
        }

        if ((_flags & Flags.ClosedTold) == 0)
        {
            _flags |= Flags.ClosedTold;
            try
            {
                _handler.OnClosed(this);
            }
            catch (Exception e)
            {
                FailHandler(e);
            }
        }

        if ((_flags & Flags.InReapList) == 0 && _worker.AddToReap(this))
        {
            _flags |= Flags.InReapList;
        }

        return false;
    }

    /// <summary>Closes the connection because its handler threw an exception. What the handler had written is still sent (pitfall 31).</summary>
    private void FailHandler(Exception exception)
    {
        try
        {
            _worker.OnHandlerError(this, exception);
        }
        catch (OutOfMemoryException)
        {
            // The error is counted, but cannot be logged.
            _worker.OnMemoryExhausted();
        }

        BeginClose(CloseReason.HandlerError);
    }
}
