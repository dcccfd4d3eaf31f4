namespace C10kServer;

/// <summary>The set of servers that a cmdlet means.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum ServerScope
{
    /// <summary>All servers that run in this process, whichever runspace started them.</summary>
    Process = 0,

    /// <summary>The servers that this runspace started.</summary>
    Runspace = 1,
}
