namespace C10kServer.Engine.Load;

/// <summary>The moments at which the requests of an open loop are due: at even distances, whatever happened to earlier requests.</summary>
internal readonly struct Pace(double rate, long start)
{
    private const double NanosecondsPerSecond = 1e9;

    /// <summary>The moment at which a request is due, in nanoseconds. Requests are counted from 0.</summary>
    internal long DueAt(long request) => start + (long)(request * (NanosecondsPerSecond / rate));

    /// <summary>How many requests are due by a given moment.</summary>
    internal long DueBy(long now) => now < start ? 0 : 1 + (long)((now - start) / (NanosecondsPerSecond / rate));
}
