namespace C10kServer;

/// <summary>Where a server is in its life.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum ServerState
{
    /// <summary>Made, and not started yet.</summary>
    Created = Engine.ServerState.Created,

    /// <summary>Listening and accepting.</summary>
    Running = Engine.ServerState.Running,

    /// <summary>Listening; connections wait in the kernel's accept queue. Those that are open go on.</summary>
    Suspended = Engine.ServerState.Suspended,

    /// <summary>No longer listening; connections may finish until a deadline.</summary>
    Draining = Engine.ServerState.Draining,

    /// <summary>Over: no descriptor and no thread is left, the counters are final.</summary>
    Stopped = Engine.ServerState.Stopped,

    /// <summary>Over, because a thread of the engine failed; LastError tells why.</summary>
    Faulted = Engine.ServerState.Faulted,
}
