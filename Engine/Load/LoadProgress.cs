namespace C10kServer.Engine.Load;

/// <summary>A snapshot of a load that runs.</summary>
/// <param name="Phase">The load's present phase.</param>
/// <param name="Connected">How many connections were made so far.</param>
/// <param name="Requests">How many requests were answered so far.</param>
/// <param name="Errors">How many connections failed so far.</param>
/// <param name="Left">The time until the phase ends by the clock; null if a count ends it.</param>
public readonly record struct LoadProgress(LoadPhase Phase, long Connected, long Requests, long Errors, TimeSpan? Left);
