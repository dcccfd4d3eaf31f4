namespace C10kServer;

/// <summary>What a worker thread is doing.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum WorkerState
{
    /// <summary>The worker's loop runs.</summary>
    Running = 0,

    /// <summary>Something blocks the worker's loop, for instance a handler.</summary>
    Stalled = 1,

    /// <summary>The worker's server was stopped.</summary>
    Stopped = 2,
}
