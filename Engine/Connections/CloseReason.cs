namespace C10kServer.Engine;

/// <summary>Why a connection ended, or why a request could not be completed. Each connection has one.</summary>
public enum CloseReason : byte
{
    /// <summary>None: the connection is open, or the request was completed.</summary>
    None,

    /// <summary>The peer finished sending, and this side closed in turn.</summary>
    PeerClosed,

    /// <summary>The handler closed the connection.</summary>
    HandlerClosed,

    /// <summary>An administrator closed the connection, from outside the server.</summary>
    AdminClosed,

    /// <summary>The peer reset the connection.</summary>
    Reset,

    /// <summary>This side reset the connection.</summary>
    Aborted,

    /// <summary>Nothing was received or sent for longer than the idle timeout.</summary>
    IdleTimeout,

    /// <summary>The first message was not complete in the time allowed for it.</summary>
    HandshakeTimeout,

    /// <summary>A message that had begun was not complete in the time allowed for it.</summary>
    MessageTimeout,

    /// <summary>The peer took no output for longer than the write timeout.</summary>
    WriteTimeout,

    /// <summary>A compiled handler queued more output than a connection may hold.</summary>
    SendQueueFull,

    /// <summary>A message was longer than allowed, or the worker's connections held too much unfinished input.</summary>
    MessageTooLong,

    /// <summary>The handler threw an exception.</summary>
    HandlerError,

    /// <summary>The server was stopped.</summary>
    ServerStopped,

    /// <summary>The network failed: unreachable, keep-alive timed out, or another error of the socket.</summary>
    NetworkError,

    /// <summary>The handler took longer with a message than allowed.</summary>
    HandlerTimeout,
}
