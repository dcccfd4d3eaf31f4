using System.Globalization;

namespace C10kServer;

/// <summary>What Invoke-C10kLoad has found.</summary>
public sealed class LoadResult
{
    internal LoadResult(Engine.Load.LoadOptions options, Engine.Load.LoadReport report)
    {
        Target = options.Target.ToString()!;
        Mode = (LoadMode)options.Mode;
        MessageSize = options.MessageSize;
        Pipeline = options.Pipeline;
        Rate = options.Rate;
        Connections = report.Connections;
        Requests = report.Requests;
        Errors = report.Errors;
        RequestsPerSecond = Math.Round(report.RequestsPerSecond, 1);
        BytesPerSecond = Math.Round(report.BytesPerSecond, 1);
        P50 = report.Latency.Quantile(0.5);
        P90 = report.Latency.Quantile(0.9);
        P99 = report.Latency.Quantile(0.99);
        P999 = report.Latency.Quantile(0.999);
        Max = report.Latency.Max;
        Duration = report.Duration;
        ConnectTime = report.ConnectTime;
        FailedConnects = report.FailedConnects;
        Resets = report.Resets;
        Closes = report.Closes;
        WrongBytes = report.WrongBytes;
        Timeouts = report.Timeouts;
        Unsent = report.Unsent;
        ErrorDetail = string.Join("; ", report.ErrorDetails);
    }

    /// <summary>Whom the load was for: an address with its port, or the path of a socket.</summary>
    public string Target { get; }

    /// <summary>What the connections did.</summary>
    public LoadMode Mode { get; }

    /// <summary>The connections that were made; for Churn all of them, one after another.</summary>
    public long Connections { get; }

    /// <summary>The requests that were answered, every byte as it had to be.</summary>
    public long Requests { get; }

    /// <summary>The connections that failed; FailedConnects, Resets, Closes, WrongBytes and Timeouts say why.</summary>
    public long Errors { get; }

    /// <summary>The requests answered a second; for Idle over the echo at the end.</summary>
    public double RequestsPerSecond { get; }

    /// <summary>The bytes of answers a second, over the same time. As many were sent.</summary>
    public double BytesPerSecond { get; }

    /// <summary>Half of the requests took no longer.</summary>
    public TimeSpan P50 { get; }

    /// <summary>Of ten requests nine took no longer.</summary>
    public TimeSpan P90 { get; }

    /// <summary>Of a hundred requests 99 took no longer.</summary>
    public TimeSpan P99 { get; }

    /// <summary>Of a thousand requests 999 took no longer.</summary>
    public TimeSpan P999 { get; }

    /// <summary>The request that took longest.</summary>
    public TimeSpan Max { get; }

    /// <summary>From the first request to the last answer; for Idle the holding is part of it.</summary>
    public TimeSpan Duration { get; }

    /// <summary>How long it took to make the connections, before that; zero for Churn.</summary>
    public TimeSpan ConnectTime { get; }

    /// <summary>The size of a request, and of its answer, in bytes.</summary>
    public int MessageSize { get; }

    /// <summary>The requests in flight on each connection.</summary>
    public int Pipeline { get; }

    /// <summary>The requests a second that were asked for; 0 where each waited for its answer.</summary>
    public double Rate { get; }

    /// <summary>The requests that were due at that rate and never sent, since all connections were waiting for answers.</summary>
    public long Unsent { get; }

    /// <summary>The connections that could not be made.</summary>
    public long FailedConnects { get; }

    /// <summary>The connections that the server or the network broke.</summary>
    public long Resets { get; }

    /// <summary>The connections that the server closed too early.</summary>
    public long Closes { get; }

    /// <summary>The connections that brought a byte that was not their own.</summary>
    public long WrongBytes { get; }

    /// <summary>The connections whose answer did not come in time.</summary>
    public long Timeouts { get; }

    /// <summary>Words for each kind of error that there was, the most frequent first. Empty without one.</summary>
    public string ErrorDetail { get; }

    /// <summary>The result in short.</summary>
    /// <returns>For instance "Echo on 127.0.0.1:7007: 98765 requests/s, P99 1.2 ms, 0 errors".</returns>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Mode} on {Target}: {RequestsPerSecond:0} requests/s, P99 {DisplayText.Latency(P99)}, {Errors} errors");
}
