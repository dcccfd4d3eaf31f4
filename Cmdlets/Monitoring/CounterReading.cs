using System.Diagnostics;

namespace C10kServer;

/// <summary>The counters of a server at one moment of the monotonic clock.</summary>
internal readonly record struct CounterReading(
    long Moment, int ConnectionCount, long Accepted, long Closed, long MessagesReceived, long BytesReceived, long BytesSent)
{
    internal static CounterReading Of(Server server) => new(
        Stopwatch.GetTimestamp(),
        server.ConnectionCount,
        server.Accepted,
        server.Closed,
        server.MessagesReceived,
        server.BytesReceived,
        server.BytesSent);

    internal TimeSpan Since(in CounterReading earlier) => Stopwatch.GetElapsedTime(earlier.Moment, Moment);
}
