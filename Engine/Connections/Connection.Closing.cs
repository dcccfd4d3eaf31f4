using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// The ends of a connection: in order, with a reset, by a failure, or with its server.
public sealed partial class Connection
{
    /// <summary>
    /// Closes in order. The queued output is sent first, and then the end of our output. After that, what the peer still sends is read and
    /// dropped until the peer's end comes or the linger timeout is over, so that no answer is cut off by a reset (pitfall 16). Read
    /// requests end with the close reason.
    /// </summary>
    public void Close()
    {
        CheckThread();
        BeginClose((_flags & Flags.PeerEnded) != 0 ? EndReason : CloseReason.HandlerClosed);
    }

    /// <summary>Closes at once with a reset. Queued output is dropped, and every request ends with the close reason.</summary>
    /// <remarks>
    /// The bytes that the kernel has taken and the peer has not received are dropped too. TCP sends a reset once and does not repeat it. The network
    /// may lose it, and a peer whose kernel has no memory left for what arrives drops it, because it lies outside the closed window
    /// (RFC 9293, 3.10.7.4). Such a peer stays open until it sends its next packet, which may be the acknowledgement that a read causes: the
    /// kernel here answers that packet with another reset.
    /// </remarks>
    public void Abort()
    {
        CheckThread();
        Abort(CloseReason.Aborted);
    }

    // A Unix peer that closes without having read all answers causes the error of a reset, behind all the bytes that the peer has sent.
    private CloseReason EndReason => (_flags & Flags.PeerReset) != 0 ? CloseReason.Reset : CloseReason.PeerClosed;

    // A Unix peer has no name, so its address is not an IP address.
    private bool IsUnix => _remote.Family is not (SockAddr.AfInet or SockAddr.AfInet6);

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

    /// <summary>
    /// Closes the connection, because a message is longer than it may be. The end is reported, because somebody must raise the limit for a
    /// client that meets it.
    /// </summary>
    private void CloseTooLong(long most, bool byHandler = false)
    {
        _worker.OnMessageTooLong(this, most, byHandler);
        BeginClose(CloseReason.MessageTooLong);
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
    /// Called when the server stops. Sends what the socket takes now, and reads off what has arrived, so that the close is an ordinary end
    /// and not a reset. Waits for nothing.
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

    /// <summary>
    /// Called when an allocation for the connection has failed. The connection is reset, and its input is dropped at once. Allocates
    /// nothing.
    /// </summary>
    internal void AbortForMemory()
    {
        Input?.Discard();
        Abort(CloseReason.Aborted);

        // If the connection had ended already, the list that could not grow may have been the list of connections with something due.
        MarkReady();
    }

    /// <summary>
    /// The last step before the descriptor is closed: makes sure of a reset if one is due, and gives buffers back. Allocates nothing.
    /// </summary>
    internal void Release()
    {
        Debug.Assert(_state == ConnectionState.Closed && (_flags & Flags.ClosedTold) != 0, "reaped before it was closed");
        if ((_flags & Flags.ResetOnClose) != 0)
        {
            Sockets.ResetOnClose(Fd);
        }

        Output?.Clear();
        Input?.Discard();
    }

    /// <summary>Gives the admission ticket back, once the descriptor is closed and the end is counted.</summary>
    internal void LeaveServer(Admission admission) => admission.Leave(_remote, (_flags & Flags.CountedByAddress) != 0);

    /// <summary>
    /// Handles ERR or HUP while the connection does not read. epoll reports both even if it was asked for nothing. With TCP, the peer has
    /// reset the connection. It closes, because it must not spin (pitfall 12). A Unix socket raises HUP as soon as the peer closes, and the
    /// peer's bytes still wait then (pitfall 51). The connection's descriptor leaves the epoll set until reading goes on.
    /// </summary>
    private void OnHangUp()
    {
        if (!IsUnix)
        {
            FailSocket(Sockets.TakeError(Fd));
            return;
        }

        _flags |= Flags.HungUp;
        MarkChanged();
        if ((_flags & Flags.PeerEnded) != 0 && Sockets.TakeError(Fd) != 0)
        {
            // Before the peer's end, the error is left to recv, which returns it behind the last byte.
            _flags |= Flags.PeerReset;
        }

        if (SendQueue > 0)
        {
            // Nobody takes the output any more. The send reports this, whether the socket is writable or not.
            Flush();
        }
    }

    internal void FailSocket(int errno)
    {
        // EPIPE is a reset whose RST was consumed earlier (pitfall 13). HUP without any error is a reset, too.
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
