namespace C10kServer.Engine;

/// <summary>Whether a server takes new connections.</summary>
internal enum Intake
{
    /// <summary>The server takes them.</summary>
    Open,

    /// <summary>They wait in the kernel's queue.</summary>
    Suspended,

    /// <summary>The server takes those in the kernel's queue, and then no more.</summary>
    Draining,
}
