namespace C10kServer.Engine;

/// <summary>Where a <see cref="Server"/> is in its life.</summary>
public enum ServerState
{
    /// <summary>Made, and not started yet.</summary>
    Created,

    /// <summary>Listening and accepting.</summary>
    Running,

    /// <summary>Listening; connections wait in the kernel's accept queue. Those that are open go on.</summary>
    Suspended,

    /// <summary>No longer listening; connections may finish, and after the last one the server stops.</summary>
    Draining,

    /// <summary>Over: no descriptor and no thread is left, the counters are final.</summary>
    Stopped,

    /// <summary>Over, because a thread of the engine failed; <see cref="Server.LastError"/> tells why.</summary>
    Faulted,
}
