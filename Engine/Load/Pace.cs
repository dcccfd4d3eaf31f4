namespace C10kServer.Engine.Load;

/// <summary>When the requests of an open loop are due: evenly, from a moment on, whatever has become of those before.</summary>
internal readonly struct Pace(double rate, long start)
{
    private const double NanosecondsPerSecond = 1e9;

    /// <summary>The moment of a request, counted from 0, in nanoseconds.</summary>
    internal long DueAt(long request) => start + (long)(request * (NanosecondsPerSecond / rate));

    /// <summary>How many requests are due by a moment.</summary>
    internal long DueBy(long now) => now < start ? 0 : 1 + (long)((now - start) / (NanosecondsPerSecond / rate));
}
