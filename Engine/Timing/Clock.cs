namespace C10kServer.Engine;

/// <summary>
/// Time in milliseconds that only goes forward (pitfall 37). Times that people read come from the wall clock, which is read when an event
/// happens. They are not computed later from this clock, because the wall clock may be set in between, and because this clock stands still
/// while the machine is suspended.
/// </summary>
internal static class Clock
{
    /// <summary>A duration or moment that never comes.</summary>
    internal const long Never = long.MaxValue;

    internal static long Now => Environment.TickCount64;

    /// <summary>The wall-clock time, in milliseconds since 1970. Reading it takes no system call.</summary>
    internal static long WallClock => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    /// <summary>A timeout in milliseconds. Zero means "no timeout" in the options, and becomes <see cref="Never"/>.</summary>
    internal static long ToMilliseconds(TimeSpan timeout) =>
        timeout == TimeSpan.Zero ? Never : Math.Max(1, (long)timeout.TotalMilliseconds);

    /// <summary>The moment so many milliseconds after another one, or <see cref="Never"/> if the milliseconds are that.</summary>
    internal static long Add(long moment, long milliseconds) => milliseconds == Never ? Never : moment + milliseconds;
}
