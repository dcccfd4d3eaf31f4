namespace C10kServer.Engine;

/// <summary>How new connections are dealt to the workers.</summary>
public enum DispatchMode
{
    /// <summary>In turn. Even in number, not in load.</summary>
    RoundRobin,

    /// <summary>To the worker that holds the fewest at that moment.</summary>
    LeastLoaded,

    /// <summary>
    /// By the kernel: each worker listens and accepts for itself (SO_REUSEPORT). The cheapest a connection; the number per worker is a
    /// matter of chance, and a worker that leaves resets what arrives in that moment.
    /// </summary>
    ReusePort,
}
