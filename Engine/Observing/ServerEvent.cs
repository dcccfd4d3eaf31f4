namespace C10kServer.Engine;

/// <summary>What an <see cref="Observer"/> is told of.</summary>
public enum ServerEventKind
{
    /// <summary>A worker has taken a connection over.</summary>
    ConnectionOpened,

    /// <summary>A connection is over, and counted as closed.</summary>
    ConnectionClosed,

    /// <summary>The server's state is another.</summary>
    StateChanged,

    /// <summary>The server was stopped: nothing more comes from it. Never lost.</summary>
    Ended,
}

/// <summary>Something that has happened to a server.</summary>
/// <param name="Server">The server.</param>
/// <param name="Kind">What it was.</param>
/// <param name="Connection">The connection just then, where it is about one.</param>
/// <param name="Before">The state before, where it changed; else the present one.</param>
/// <param name="State">The server's state just then.</param>
public sealed record ServerEvent(Server Server, ServerEventKind Kind, ConnectionInfo? Connection, ServerState Before, ServerState State);
