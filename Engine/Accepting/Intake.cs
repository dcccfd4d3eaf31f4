namespace C10kServer.Engine;

/// <summary>Whether a server takes new connections.</summary>
internal enum Intake
{
    /// <summary>The server takes new connections.</summary>
    Open,

    /// <summary>New connections wait in the kernel's queue.</summary>
    Suspended,

    /// <summary>The server takes the connections in the kernel's queue, and then no more.</summary>
    Draining,
}
