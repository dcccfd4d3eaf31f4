namespace C10kServer;

/// <summary>The states of a server.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum ServerState
{
    /// <summary>The server exists, and is not started yet.</summary>
    Created = 0,

    /// <summary>The server listens and accepts.</summary>
    Running = 1,

    /// <summary>The server listens and does not accept: new connections wait in the kernel's accept queue. Open connections go on.</summary>
    Suspended = 2,

    /// <summary>The server no longer listens. Connections may finish, and after the last one the server stops.</summary>
    Draining = 3,

    /// <summary>The server is over: no descriptor and no thread is left, and the counters are final.</summary>
    Stopped = 4,

    /// <summary>The server is over because a thread of the engine failed. LastError says why.</summary>
    Faulted = 5,
}
