namespace C10kServer.Engine;

/// <summary>The states of a <see cref="Server"/>.</summary>
public enum ServerState
{
    /// <summary>The server was made, and not started yet.</summary>
    Created,

    /// <summary>The server listens and accepts.</summary>
    Running,

    /// <summary>The server listens. New connections wait in the kernel's accept queue, and open connections go on.</summary>
    Suspended,

    /// <summary>The server no longer listens. Connections may finish, and after the last one the server stops.</summary>
    Draining,

    /// <summary>The server has ended: no descriptor is left, no thread except one that a handler blocks, and the counters are final.</summary>
    Stopped,

    /// <summary>The server has ended, because a thread of the engine failed; <see cref="Server.LastError"/> tells why.</summary>
    Faulted,
}
