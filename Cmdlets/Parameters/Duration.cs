using System.ComponentModel;
using System.Globalization;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// A length of time as a parameter accepts it. A number means seconds. '500us', '500ms', '30s', '2m', '1h' and '1d' have a unit. 'hh:mm:ss' and
/// TimeSpan objects are accepted, too. A duration is never negative.
/// </summary>
/// <remarks>
/// A TimeSpan parameter would read 5 as 500 nanoseconds and '5' as five days. The type does the conversion, not an attribute of the
/// parameter, because mocks, proxies and restricted endpoints copy a parameter's type and omit attributes that PowerShell does not know.
/// </remarks>
[TypeConverter(typeof(DurationConverter))]
public readonly struct Duration : IEquatable<Duration>, IComparable<Duration>, IComparable
{
    // The units are ordered from the largest to the smallest, because the text uses the first unit that divides the duration.
    private static readonly (string Name, long Ticks)[] Units =
    [
        ("d", System.TimeSpan.TicksPerDay),
        ("h", System.TimeSpan.TicksPerHour),
        ("m", System.TimeSpan.TicksPerMinute),
        ("s", System.TimeSpan.TicksPerSecond),
        ("ms", System.TimeSpan.TicksPerMillisecond),
        ("us", System.TimeSpan.TicksPerMicrosecond),
    ];

    internal Duration(TimeSpan timeSpan) => TimeSpan = timeSpan;

    /// <summary>The duration as a .NET TimeSpan.</summary>
    public TimeSpan TimeSpan { get; }

    /// <summary>The duration in seconds.</summary>
    public double TotalSeconds => TimeSpan.TotalSeconds;

    /// <summary>The duration in milliseconds.</summary>
    public double TotalMilliseconds => TimeSpan.TotalMilliseconds;

    /// <summary>Converts the duration to a .NET TimeSpan.</summary>
    /// <param name="duration">The duration.</param>
    public static implicit operator TimeSpan(Duration duration) => duration.TimeSpan;

    /// <summary>Whether two durations are equally long.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator ==(Duration left, Duration right) => left.Equals(right);

    /// <summary>Whether two durations differ.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator !=(Duration left, Duration right) => !left.Equals(right);

    /// <summary>Whether the left duration is shorter.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator <(Duration left, Duration right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left duration is longer.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator >(Duration left, Duration right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left duration is not longer.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator <=(Duration left, Duration right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left duration is not shorter.</summary>
    /// <param name="left">A duration.</param>
    /// <param name="right">Another one.</param>
    public static bool operator >=(Duration left, Duration right) => left.CompareTo(right) >= 0;

    /// <summary>The duration as a .NET TimeSpan.</summary>
    /// <returns>The same as <see cref="TimeSpan"/>.</returns>
    public TimeSpan ToTimeSpan() => TimeSpan;

    /// <summary>Whether another duration has the same length.</summary>
    /// <param name="other">The other duration.</param>
    /// <returns>True if both have the same length.</returns>
    public bool Equals(Duration other) => TimeSpan == other.TimeSpan;

    /// <summary>Whether an object is a duration of the same length.</summary>
    /// <param name="obj">The object.</param>
    /// <returns>True if the object is such a duration.</returns>
    public override bool Equals(object? obj) => obj is Duration other && Equals(other);

    /// <summary>A hash code that is the same for equal durations.</summary>
    /// <returns>The hash code.</returns>
    public override int GetHashCode() => TimeSpan.GetHashCode();

    /// <summary>Compares two durations by length.</summary>
    /// <param name="other">The other duration.</param>
    /// <returns>Less than 0 when this one is shorter, 0 when both are equal, more than 0 when this one is longer.</returns>
    public int CompareTo(Duration other) => TimeSpan.CompareTo(other.TimeSpan);

    /// <summary>Compares a duration and an object by length.</summary>
    /// <param name="obj">The other duration, or null.</param>
    /// <returns>The same as for two durations. Null counts as shorter than any duration.</returns>
    /// <exception cref="ArgumentException">The object is not a duration.</exception>
    public int CompareTo(object? obj) => obj switch
    {
        null => 1,
        Duration other => CompareTo(other),
        _ => throw new ArgumentException("A duration can be compared with another duration only.", nameof(obj)),
    };

    /// <summary>The duration in the form that a parameter accepts.</summary>
    /// <returns>For instance "0s", "500ms", "90m".</returns>
    public override string ToString()
    {
        long ticks = TimeSpan.Ticks;
        foreach ((string name, long unit) in Units)
        {
            if (ticks != 0 && ticks % unit == 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{ticks / unit}{name}");
            }
        }

        // The duration has a fraction of a microsecond, or is zero.
        return string.Create(CultureInfo.InvariantCulture, $"{TimeSpan.TotalSeconds:0.#######}s");
    }
}
