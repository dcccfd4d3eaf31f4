using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// How it ends: in order, with a reset, by a failure, or with its server.
public sealed partial class Connection
{
    /// <summary>
    /// Closes in order: what is queued is sent, then the end; then what the peer still sends is read and dropped until its end
    /// comes or the linger timeout is over, so that no answer is cut off by a reset (pitfall 16). Read requests end
    /// with the reason.
    /// </summary>
    public void Close()
    {
        CheckThread();
        BeginClose((_flags & Flags.PeerEnded) != 0 ? CloseReason.PeerClosed : CloseReason.HandlerClosed);
    }

    /// <summary>Closes at once with a reset. What is queued is dropped, and every request ends with the reason.</summary>
    public void Abort()
    {
        CheckThread();
        Abort(CloseReason.Aborted);
    }

    /// <summary>Begins the close that <see cref="Close"/> describes.</summary>
    internal void BeginClose(CloseReason reason)
    {
        if (_state is ConnectionState.Closing or ConnectionState.Closed)
        {
            return;
        }

        _reason = reason;
        _state = ConnectionState.Closing;
        MarkReady();
        MarkChanged();
        if (SendQueue == 0)
        {
            EndOutput();
        }
    }

    internal void Abort(CloseReason reason)
    {
        if (_state != ConnectionState.Closed)
        {
            _flags |= Flags.ResetOnClose;
            Finish(reason);
        }
    }

    /// <summary>
    /// The server stops: what the socket takes now is sent, what has arrived is read off so that the close is an end
    /// and no reset, and nothing is waited for.
    /// </summary>
    internal void Stop()
    {
        if (_state == ConnectionState.Closed)
        {
            return;
        }

        if (SendQueue > 0)
        {
            Flush();
        }

        if (_state is not (ConnectionState.Closing or ConnectionState.Closed))
        {
            // What is received from here on is dropped.
            _reason = CloseReason.ServerStopped;
            _state = ConnectionState.Closing;
        }

        if (_state == ConnectionState.Closing && (_flags & Flags.PeerEnded) == 0)
        {
            Receive(Epoll.RdHup);
        }

        if (_state == ConnectionState.Closing)
        {
            Finish(_reason);
        }
    }

    /// <summary>The last act before the descriptor is closed: buffers go back, and a reset is made sure of where one is due.</summary>
    internal void Release()
    {
        Debug.Assert(_state == ConnectionState.Closed && (_flags & Flags.ClosedTold) != 0, "reaped before it was closed");
        Output?.Clear();
        Input?.Discard();
        if ((_flags & Flags.ResetOnClose) != 0)
        {
            Sockets.ResetOnClose(Fd);
        }
    }

    /// <summary>Gives the admission ticket back, once the descriptor is closed and the end is counted.</summary>
    internal void LeaveServer(Admission admission) => admission.Leave(_remote, (_flags & Flags.CountedByAddress) != 0);

    internal void FailSocket(int errno)
    {
        // EPIPE is a reset whose RST was consumed earlier (pitfall 13); no error at all with HUP likewise.
        bool reset = errno is Errno.ECONNRESET or Errno.EPIPE or 0;
        Finish(reset ? CloseReason.Reset : CloseReason.NetworkError);
    }

    private void Finish(CloseReason reason)
    {
        Debug.Assert(_state != ConnectionState.Closed, "closed twice");
        _reason = reason;
        _state = ConnectionState.Closed;
        _worker.Timers.Cancel(this);
        MarkReady();
    }
}
