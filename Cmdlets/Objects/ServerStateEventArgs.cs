namespace C10kServer;

/// <summary>What the event StateChanged of a server tells.</summary>
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

    /// <summary>The state that it was in.</summary>
    public ServerState PreviousState { get; }

    /// <summary>The state that it went into. It may be in another by now: State of the server tells.</summary>
    public ServerState State { get; }

    /// <summary>The event in short.</summary>
    /// <returns>For instance "C10k1: Running to Draining".</returns>
    public override string ToString() => $"{Server.Name}: {PreviousState} to {State}";
}
