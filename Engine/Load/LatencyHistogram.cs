using HdrHistogram;

namespace C10kServer.Engine.Load;

/// <summary>
/// Latencies in buckets whose width grows with the value: from a nanosecond to an hour within one percent, in 40 KB,
/// whatever their number. To record allocates nothing and takes no lock. One thread writes; it is read when that is done.
/// </summary>
public sealed class LatencyHistogram
{
    private const int SignificantDigits = 2;

    // More is recorded as this much; the exact maximum is kept beside.
    private static readonly long Longest = (long)TimeSpan.FromHours(1).TotalNanoseconds;

    private readonly LongHistogram _buckets = new(1, Longest, SignificantDigits);
    private long _max;

    /// <summary>The values recorded.</summary>
    public long Count { get; private set; }

    /// <summary>The longest, exactly.</summary>
    public TimeSpan Max => ToTimeSpan(_max);

    /// <summary>The value that a share of all does not exceed, from 0 to 1. Zero where there is none.</summary>
    public TimeSpan Quantile(double share)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);

        // The upper bound of its bucket, which may be over the maximum.
        return Count == 0 ? TimeSpan.Zero : ToTimeSpan(Math.Min(_buckets.GetValueAtPercentile(share * 100), _max));
    }

    internal void Record(long nanoseconds)
    {
        if (nanoseconds > _max)
        {
            _max = nanoseconds;
        }

        // Due and answered in one tick of the clock, or seen a moment before it was due by rounding.
        _buckets.RecordValue(Math.Clamp(nanoseconds, 1, Longest));
        Count++;
    }

    private static TimeSpan ToTimeSpan(long nanoseconds) => TimeSpan.FromTicks((nanoseconds + 50) / 100);
}
