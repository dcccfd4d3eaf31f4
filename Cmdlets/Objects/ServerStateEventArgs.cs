namespace C10kServer;

/// <summary>The data of a server's event StateChanged.</summary>
public sealed class ServerStateEventArgs : EventArgs
{
    internal ServerStateEventArgs(Server server, ServerState previousState, ServerState state)
    {
        Server = server;
        PreviousState = previousState;
        State = state;
    }

    /// <summary>The server.</summary>
    public Server Server { get; }

    /// <summary>The state that the server was in.</summary>
    public ServerState PreviousState { get; }

    /// <summary>The state that the server went into. By now it may be in another state, which the server's own State tells.</summary>
    public ServerState State { get; }

    /// <summary>A short text for the event.</summary>
    /// <returns>For instance "C10k1: Running to Draining".</returns>
    public override string ToString() => $"{Server.Name}: {PreviousState} to {State}";
}
