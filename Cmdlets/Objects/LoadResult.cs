using System.Globalization;

namespace C10kServer;

/// <summary>The result of Invoke-C10kLoad.</summary>
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

    /// <summary>The server that the load was for: an address with its port, or the path of a socket.</summary>
    public string Target { get; }

    /// <summary>The way in which the connections were used.</summary>
    public LoadMode Mode { get; }

    /// <summary>The number of connections that were made. For Churn it counts all of them, made one after another.</summary>
    public long Connections { get; }

    /// <summary>The number of requests that got an answer in which every byte was right.</summary>
    public long Requests { get; }

    /// <summary>The number of connections that failed; FailedConnects, Resets, Closes, WrongBytes and Timeouts say why.</summary>
    public long Errors { get; }

    /// <summary>The answered requests per second. For Idle this is the rate of the echo at the end.</summary>
    public double RequestsPerSecond { get; }

    /// <summary>The bytes of answers per second, over the same time. The same number of bytes was sent.</summary>
    public double BytesPerSecond { get; }

    /// <summary>Half of the requests took no longer than this.</summary>
    public TimeSpan P50 { get; }

    /// <summary>Nine of ten requests took no longer than this.</summary>
    public TimeSpan P90 { get; }

    /// <summary>Of a hundred requests, 99 took no longer than this.</summary>
    public TimeSpan P99 { get; }

    /// <summary>Of a thousand requests, 999 took no longer than this.</summary>
    public TimeSpan P999 { get; }

    /// <summary>The time of the request that took longest.</summary>
    public TimeSpan Max { get; }

    /// <summary>The time from the first request to the last answer. For Idle it includes the time for which connections were held.</summary>
    public TimeSpan Duration { get; }

    /// <summary>The time that it took to make the connections, before Duration begins. Zero for Churn.</summary>
    public TimeSpan ConnectTime { get; }

    /// <summary>The size of a request, and of its answer, in bytes.</summary>
    public int MessageSize { get; }

    /// <summary>The number of requests in flight on each connection.</summary>
    public int Pipeline { get; }

    /// <summary>The requests per second that were asked for. 0 if each connection waited for an answer before it sent more.</summary>
    public double Rate { get; }

    /// <summary>The number of requests that were due at that rate and never sent, because all connections were waiting for answers.</summary>
    public long Unsent { get; }

    /// <summary>The number of connections that could not be made.</summary>
    public long FailedConnects { get; }

    /// <summary>The number of connections that the server or the network broke.</summary>
    public long Resets { get; }

    /// <summary>The number of connections that the server closed too early.</summary>
    public long Closes { get; }

    /// <summary>The number of connections that received a byte which did not belong to their own answer.</summary>
    public long WrongBytes { get; }

    /// <summary>The number of connections whose answer did not come in time.</summary>
    public long Timeouts { get; }

    /// <summary>A description of each kind of error that happened, the most frequent first. Empty if there was no error.</summary>
    public string ErrorDetail { get; }

    /// <summary>A short text for the result.</summary>
    /// <returns>For instance "Echo on 127.0.0.1:7007: 98765 requests/s, P99 1.2 ms, 0 errors".</returns>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Mode} on {Target}: {RequestsPerSecond:0} requests/s, P99 {DisplayText.Latency(P99)}, {Errors} errors");
}
