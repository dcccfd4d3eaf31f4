namespace C10kServer.Engine.Load;

/// <summary>The result of a load. Immutable.</summary>
public sealed record LoadReport
{
    /// <summary>How many connections were made.</summary>
    public required long Connections { get; init; }

    /// <summary>How many requests were answered with every byte correct.</summary>
    public required long Requests { get; init; }

    /// <summary>How many requests were due at the given rate and never sent, because all connections were waiting for answers.</summary>
    public required long Unsent { get; init; }

    /// <summary>How many connections could not be made.</summary>
    public required long FailedConnects { get; init; }

    /// <summary>How many connections the server or the network broke.</summary>
    public required long Resets { get; init; }

    /// <summary>How many connections the server closed before the load was done with them.</summary>
    public required long Closes { get; init; }

    /// <summary>
    /// How many connections received a wrong byte: a byte of another connection, a byte from another place in the data, or a byte too many.
    /// </summary>
    public required long WrongBytes { get; init; }

    /// <summary>How many connections did not get their answer in time.</summary>
    public required long Timeouts { get; init; }

    /// <summary>How many connections failed, for any of these reasons. Each connection counts once.</summary>
    public long Errors => FailedConnects + Resets + Closes + WrongBytes + Timeouts;

    /// <summary>One sentence for each kind of error that happened, the most frequent kind first.</summary>
    public required IReadOnlyList<string> ErrorDetails { get; init; }

    /// <summary>How long it took to make the connections. Zero for <see cref="LoadMode.Churn"/>, which makes connections all the time.</summary>
    public required TimeSpan ConnectTime { get; init; }

    /// <summary>
    /// The time from the first request to the last answer, or to the end of sending if that was later. The time of holding is part of it.
    /// </summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Answered requests a second. For <see cref="LoadMode.Idle"/>, only the time of the echoes at its end counts.</summary>
    public required double RequestsPerSecond { get; init; }

    /// <summary>Bytes of answers a second, over the same time as <see cref="RequestsPerSecond"/>.</summary>
    public required double BytesPerSecond { get; init; }

    /// <summary>
    /// The latencies of the answered requests. Each counts from the moment at which its request was sent, or was due if the load has a rate.
    /// </summary>
    public required LatencyHistogram Latency { get; init; }
}
