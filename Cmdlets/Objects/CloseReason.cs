namespace C10kServer;

/// <summary>Why a connection ended. Each connection has one.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum CloseReason
{
    /// <summary>No reason: the connection is open, or the request was completed.</summary>
    None = 0,

    /// <summary>The peer finished sending, and this side closed in turn.</summary>
    PeerClosed = 1,

    /// <summary>The handler closed the connection.</summary>
    HandlerClosed = 2,

    /// <summary>An administrator closed the connection, from outside the server.</summary>
    AdminClosed = 3,

    /// <summary>The peer reset the connection.</summary>
    Reset = 4,

    /// <summary>This side reset the connection.</summary>
    Aborted = 5,

    /// <summary>Nothing was received or sent for longer than the idle timeout.</summary>
    IdleTimeout = 6,

    /// <summary>The first message was not complete within the handshake timeout.</summary>
    HandshakeTimeout = 7,

    /// <summary>A message that had begun was not complete within the message timeout.</summary>
    MessageTimeout = 8,

    /// <summary>The peer took no output for longer than the write timeout.</summary>
    WriteTimeout = 9,

    /// <summary>A compiled handler queued more output than a connection may hold.</summary>
    SendQueueFull = 10,

    /// <summary>No delimiter came within the maximum that the handler set.</summary>
    MessageTooLong = 11,

    /// <summary>The handler threw an exception.</summary>
    HandlerError = 12,

    /// <summary>The server was stopped.</summary>
    ServerStopped = 13,

    /// <summary>The network failed: unreachable, keep-alive timed out, or another error of the socket.</summary>
    NetworkError = 14,

    /// <summary>The handler took longer for a message than the handler timeout allows.</summary>
    HandlerTimeout = 15,
}
