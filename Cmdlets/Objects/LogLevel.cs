namespace C10kServer;

/// <summary>How much an event matters.</summary>
/// <remarks>
/// The engine's EventLevel, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum LogLevel
{
    /// <summary>Every detail.</summary>
    Trace = Engine.EventLevel.Trace,

    /// <summary>Each connection's beginning and end.</summary>
    Debug = Engine.EventLevel.Debug,

    /// <summary>What a server does as a whole.</summary>
    Information = Engine.EventLevel.Information,

    /// <summary>What somebody should look at.</summary>
    Warning = Engine.EventLevel.Warning,

    /// <summary>What failed.</summary>
    Error = Engine.EventLevel.Error,

    /// <summary>What ended a server.</summary>
    Critical = Engine.EventLevel.Critical,

    /// <summary>Nothing.</summary>
    None = Engine.EventLevel.None,
}
