namespace C10kServer.Engine.Load;

/// <summary>What a load has found. An immutable value.</summary>
public sealed record LoadReport
{
    /// <summary>Connections that were made.</summary>
    public required long Connections { get; init; }

    /// <summary>Requests that were answered, every byte as it had to be.</summary>
    public required long Requests { get; init; }

    /// <summary>Requests that were due, at the rate asked for, and never sent: all connections were waiting for answers.</summary>
    public required long Unsent { get; init; }

    /// <summary>Connections that could not be made.</summary>
    public required long FailedConnects { get; init; }

    /// <summary>Connections that the server, or the network, broke.</summary>
    public required long Resets { get; init; }

    /// <summary>Connections that the server closed before the load was done with them.</summary>
    public required long Closes { get; init; }

    /// <summary>Connections that brought a byte that was not its own: of another connection, or place, or too many.</summary>
    public required long WrongBytes { get; init; }

    /// <summary>Connections whose answer did not come.</summary>
    public required long Timeouts { get; init; }

    /// <summary>Connections that failed, for whichever of these reasons. Each counts once.</summary>
    public long Errors => FailedConnects + Resets + Closes + WrongBytes + Timeouts;

    /// <summary>A sentence for each of the errors that there were, the most frequent first.</summary>
    public required IReadOnlyList<string> ErrorDetails { get; init; }

    /// <summary>How long it took to make the connections; zero for <see cref="LoadMode.Churn"/>, which never ends to.</summary>
    public required TimeSpan ConnectTime { get; init; }

    /// <summary>From the first request to the last answer, or to the end of sending where that was later; holding is part of it.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Answered requests a second; for <see cref="LoadMode.Idle"/> over the echo at its end.</summary>
    public required double RequestsPerSecond { get; init; }

    /// <summary>Bytes of answers a second, over the same time.</summary>
    public required double BytesPerSecond { get; init; }

    /// <summary>Latencies, from the moment that a request was sent, or was due where there is a rate.</summary>
    public required LatencyHistogram Latency { get; init; }
}
