namespace C10kServer.Engine;

/// <summary>The kinds of event that an <see cref="Observer"/> is told of.</summary>
public enum ServerEventKind
{
    /// <summary>A worker has taken a connection over.</summary>
    ConnectionOpened,

    /// <summary>A connection has ended, and is counted as closed.</summary>
    ConnectionClosed,

    /// <summary>The server's state has changed.</summary>
    StateChanged,

    /// <summary>The server was stopped. This is its last event, and it is never lost.</summary>
    Ended,
}

/// <summary>Something that has happened to a server.</summary>
/// <param name="Server">The server.</param>
/// <param name="Kind">The kind of event.</param>
/// <param name="Connection">The connection at that moment, if the event is about a connection; else null.</param>
/// <param name="Before">The server's state before the event, if the event changed it; else the same as <paramref name="State"/>.</param>
/// <param name="State">The server's state at that moment.</param>
public sealed record ServerEvent(Server Server, ServerEventKind Kind, ConnectionInfo? Connection, ServerState Before, ServerState State);
