namespace C10kServer;

/// <summary>Whose servers are meant.</summary>
public enum ServerScope
{
    /// <summary>All that run in this process, whichever runspace started them.</summary>
    Process,

    /// <summary>Those that this runspace started.</summary>
    Runspace,
}
