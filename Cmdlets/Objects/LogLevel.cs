namespace C10kServer;

/// <summary>How important a log record is.</summary>
/// <remarks>
/// Repeats the engine's EventLevel, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum LogLevel
{
    /// <summary>Every detail.</summary>
    Trace = 0,

    /// <summary>The beginning and the end of each connection.</summary>
    Debug = 1,

    /// <summary>The actions of a server as a whole.</summary>
    Information = 2,

    /// <summary>Events that somebody should look at.</summary>
    Warning = 3,

    /// <summary>Failures.</summary>
    Error = 4,

    /// <summary>Failures that ended a server.</summary>
    Critical = 5,

    /// <summary>No events at all.</summary>
    None = 6,
}
