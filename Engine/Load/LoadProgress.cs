namespace C10kServer.Engine.Load;

/// <summary>A look at a load that runs.</summary>
/// <param name="Phase">Where it is.</param>
/// <param name="Connected">The connections made so far.</param>
/// <param name="Requests">The requests answered so far.</param>
/// <param name="Errors">The connections that failed so far.</param>
/// <param name="Left">Until the phase is over by the clock; null where a count ends it.</param>
public readonly record struct LoadProgress(LoadPhase Phase, long Connected, long Requests, long Errors, TimeSpan? Left);
