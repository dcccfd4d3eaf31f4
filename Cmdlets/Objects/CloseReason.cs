namespace C10kServer;

/// <summary>Why a connection ended. Each connection has one.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum CloseReason
{
    /// <summary>None: the connection is open, or the request was completed.</summary>
    None = Engine.CloseReason.None,

    /// <summary>The peer finished sending, and this side closed in turn.</summary>
    PeerClosed = Engine.CloseReason.PeerClosed,

    /// <summary>The handler closed.</summary>
    HandlerClosed = Engine.CloseReason.HandlerClosed,

    /// <summary>An administrator closed, from outside the server.</summary>
    AdminClosed = Engine.CloseReason.AdminClosed,

    /// <summary>The peer reset the connection.</summary>
    Reset = Engine.CloseReason.Reset,

    /// <summary>This side reset the connection.</summary>
    Aborted = Engine.CloseReason.Aborted,

    /// <summary>Nothing was received or sent for longer than the idle timeout.</summary>
    IdleTimeout = Engine.CloseReason.IdleTimeout,

    /// <summary>The first message was not complete in the time that it is given.</summary>
    HandshakeTimeout = Engine.CloseReason.HandshakeTimeout,

    /// <summary>A message that had begun was not complete in the time that it is given.</summary>
    MessageTimeout = Engine.CloseReason.MessageTimeout,

    /// <summary>The peer took no output for longer than the write timeout.</summary>
    WriteTimeout = Engine.CloseReason.WriteTimeout,

    /// <summary>More output was queued than a connection may hold.</summary>
    SendQueueFull = Engine.CloseReason.SendQueueFull,

    /// <summary>No delimiter came within the maximum that the handler set.</summary>
    MessageTooLong = Engine.CloseReason.MessageTooLong,

    /// <summary>The handler threw an exception.</summary>
    HandlerError = Engine.CloseReason.HandlerError,

    /// <summary>The server was stopped.</summary>
    ServerStopped = Engine.CloseReason.ServerStopped,

    /// <summary>The network failed: unreachable, keep-alive timed out, or another error of the socket.</summary>
    NetworkError = Engine.CloseReason.NetworkError,

    /// <summary>The handler took longer with a message than it may.</summary>
    HandlerTimeout = Engine.CloseReason.HandlerTimeout,
}
