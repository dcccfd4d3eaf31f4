namespace C10kServer;

/// <summary>How new connections are dealt to the workers.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The values are taken from it when this is compiled.
/// </remarks>
public enum DispatchMode
{
    /// <summary>In turn. Even in number, not in load.</summary>
    RoundRobin = Engine.DispatchMode.RoundRobin,

    /// <summary>To the worker that holds the fewest at that moment.</summary>
    LeastLoaded = Engine.DispatchMode.LeastLoaded,

    /// <summary>
    /// By the kernel: each worker listens and accepts for itself (SO_REUSEPORT). The cheapest a connection; the number per worker is a
    /// matter of chance, and a worker that leaves resets what arrives in that moment.
    /// </summary>
    ReusePort = Engine.DispatchMode.ReusePort,
}
