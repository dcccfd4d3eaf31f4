namespace C10kServer.Engine;

/// <summary>How new connections are dealt to the workers.</summary>
public enum DispatchMode
{
    /// <summary>In turn. Even in number, not in load.</summary>
    RoundRobin,

    /// <summary>To the worker that holds the fewest at that moment.</summary>
    LeastLoaded,
}
