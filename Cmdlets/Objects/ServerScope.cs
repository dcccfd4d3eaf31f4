namespace C10kServer;

/// <summary>Whose servers are meant.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum ServerScope
{
    /// <summary>All that run in this process, whichever runspace started them.</summary>
    Process = 0,

    /// <summary>Those that this runspace started.</summary>
    Runspace = 1,
}
