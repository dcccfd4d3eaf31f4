namespace C10kServer;

/// <summary>How much an event matters.</summary>
/// <remarks>
/// The engine's EventLevel, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum LogLevel
{
    /// <summary>Every detail.</summary>
    Trace = 0,

    /// <summary>Each connection's beginning and end.</summary>
    Debug = 1,

    /// <summary>What a server does as a whole.</summary>
    Information = 2,

    /// <summary>What somebody should look at.</summary>
    Warning = 3,

    /// <summary>What failed.</summary>
    Error = 4,

    /// <summary>What ended a server.</summary>
    Critical = 5,

    /// <summary>Nothing.</summary>
    None = 6,
}
