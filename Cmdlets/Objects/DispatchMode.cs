namespace C10kServer;

/// <summary>How new connections are dealt to the workers.</summary>
/// <remarks>
/// Repeats the engine's enum of the same name, because the engine is in a load context of its own, which a type literal in a script does
/// not reach. The numbers never change, because ConvertTo-Json writes them.
/// </remarks>
public enum DispatchMode
{
    /// <summary>The workers get connections in turn. Each gets the same number of them, but not the same load.</summary>
    RoundRobin = 0,

    /// <summary>The worker that has the fewest connections at that moment gets the next one.</summary>
    LeastLoaded = 1,

    /// <summary>
    /// The kernel deals the connections: each worker has its own listening socket and accepts from it (SO_REUSEPORT). This mode costs the
    /// least per connection. The number of connections per worker is a matter of chance, and a worker that leaves resets connections that
    /// arrive at that moment.
    /// </summary>
    ReusePort = 2,
}
