namespace C10kServer;

/// <summary>What a worker thread is doing.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum WorkerState
{
    /// <summary>Its loop turns.</summary>
    Running = Engine.WorkerState.Running,

    /// <summary>Something holds its loop, a handler that blocks for instance.</summary>
    Stalled = Engine.WorkerState.Stalled,

    /// <summary>Its server was stopped.</summary>
    Stopped = Engine.WorkerState.Stopped,
}
