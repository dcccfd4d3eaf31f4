namespace C10kServer.Engine;

/// <summary>
/// Time in milliseconds that only goes forward (pitfall 37). Start times for people are this clock laid over the wall clock's
/// reading at process start, so that two rows of one connection never disagree.
/// </summary>
internal static class Clock
{
    /// <summary>A duration or moment that never comes.</summary>
    internal const long Never = long.MaxValue;

    private static readonly DateTimeOffset Epoch = DateTimeOffset.Now - TimeSpan.FromMilliseconds(Environment.TickCount64);

    internal static long Now => Environment.TickCount64;

    internal static DateTimeOffset ToWallClock(long milliseconds) => Epoch + TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>Zero means "none" in the options, and is never due.</summary>
    internal static long ToMilliseconds(TimeSpan timeout) =>
        timeout == TimeSpan.Zero ? Never : Math.Max(1, (long)timeout.TotalMilliseconds);

    /// <summary>A moment after another one, which may be never.</summary>
    internal static long Add(long moment, long milliseconds) => milliseconds == Never ? Never : moment + milliseconds;
}
