namespace C10kServer;

/// <summary>Where a server is in its life.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum ServerState
{
    /// <summary>Made, and not started yet.</summary>
    Created = 0,

    /// <summary>Listening and accepting.</summary>
    Running = 1,

    /// <summary>Listening; connections wait in the kernel's accept queue. Those that are open go on.</summary>
    Suspended = 2,

    /// <summary>No longer listening; connections may finish, and after the last one the server stops.</summary>
    Draining = 3,

    /// <summary>Over: no descriptor and no thread is left, the counters are final.</summary>
    Stopped = 4,

    /// <summary>Over, because a thread of the engine failed; LastError tells why.</summary>
    Faulted = 5,
}
