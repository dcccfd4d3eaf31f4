namespace C10kServer.Engine;

/// <summary>
/// Time in milliseconds that only goes forward (pitfall 37). Times for people are the wall clock's, read when something happens: the wall clock may
/// be set later, and this clock stands still in a suspended machine.
/// </summary>
internal static class Clock
{
    /// <summary>A duration or moment that never comes.</summary>
    internal const long Never = long.MaxValue;

    internal static long Now => Environment.TickCount64;

    /// <summary>What the wall clock says, in milliseconds since 1970. It takes no system call.</summary>
    internal static long WallClock => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    /// <summary>Zero means "none" in the options, and is never due.</summary>
    internal static long ToMilliseconds(TimeSpan timeout) =>
        timeout == TimeSpan.Zero ? Never : Math.Max(1, (long)timeout.TotalMilliseconds);

    /// <summary>A moment after another one, which may be never.</summary>
    internal static long Add(long moment, long milliseconds) => milliseconds == Never ? Never : moment + milliseconds;
}
