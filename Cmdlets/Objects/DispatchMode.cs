namespace C10kServer;

/// <summary>How new connections are dealt to the workers.</summary>
/// <remarks>
/// The engine's enum of that name, said again: the engine lives in a load context of its own, where a type literal does not
/// reach it. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum DispatchMode
{
    /// <summary>In turn. Even in number, not in load.</summary>
    RoundRobin = 0,

    /// <summary>To the worker that holds the fewest at that moment.</summary>
    LeastLoaded = 1,

    /// <summary>
    /// By the kernel: each worker listens and accepts for itself (SO_REUSEPORT). The cheapest a connection; the number per worker is a
    /// matter of chance, and a worker that leaves resets what arrives in that moment.
    /// </summary>
    ReusePort = 2,
}
