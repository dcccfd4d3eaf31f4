namespace C10kServer;

/// <summary>What a worker thread is doing.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum WorkerState
{
    /// <summary>Its loop turns.</summary>
    Running = 0,

    /// <summary>Something holds its loop, a handler that blocks for instance.</summary>
    Stalled = 1,

    /// <summary>Its server was stopped.</summary>
    Stopped = 2,
}
