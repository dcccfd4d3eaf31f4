namespace C10kServer.Engine;

/// <summary>The reason why an acceptor has stopped taking connections from a listening socket.</summary>
internal enum AcceptResult
{
    /// <summary>The kernel's queue is empty.</summary>
    QueueEmpty,

    /// <summary>As many connections were taken as a turn may take. There may be more in the queue.</summary>
    TurnOver,

    /// <summary>The server's rate of accepts is reached. The queue keeps its clients until there is a token again.</summary>
    RateReached,

    /// <summary>Descriptors or memory have run out. The queue keeps its clients until the pause is over.</summary>
    OutOfResources,

    /// <summary>No worker takes connections any more, because the server is at its end.</summary>
    NoTaker,
}
