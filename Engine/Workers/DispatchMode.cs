namespace C10kServer.Engine;

/// <summary>How new connections are dealt to the workers.</summary>
public enum DispatchMode
{
    /// <summary>Each worker in turn. Even in number, not in load.</summary>
    RoundRobin,

    /// <summary>The worker that holds the fewest connections at that moment.</summary>
    LeastLoaded,

    /// <summary>
    /// The kernel deals: each worker listens and accepts for itself (SO_REUSEPORT). This costs the least per connection. The number of
    /// connections per worker is a matter of chance, and a worker that leaves resets the connections that arrive in that moment.
    /// </summary>
    ReusePort,
}
