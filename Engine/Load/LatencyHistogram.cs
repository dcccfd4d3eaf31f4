using HdrHistogram;

namespace C10kServer.Engine.Load;

/// <summary>
/// Latencies in buckets whose width grows with the value. Values from a nanosecond to an hour are within one percent, and any number of them
/// takes 40 KB. Recording a value allocates nothing and takes no lock. One thread writes; other threads read after that thread is done.
/// </summary>
public sealed class LatencyHistogram
{
    private const int SignificantDigits = 2;

    // A longer value is recorded as this one. The exact maximum is kept separately.
    private static readonly long Longest = (long)TimeSpan.FromHours(1).TotalNanoseconds;

    private readonly LongHistogram _buckets = new(1, Longest, SignificantDigits);
    private long _max;

    /// <summary>How many values were recorded.</summary>
    public long Count { get; private set; }

    /// <summary>The longest value, exactly.</summary>
    public TimeSpan Max => ToTimeSpan(_max);

    /// <summary>The value that a share of all values does not exceed. Zero if no value was recorded.</summary>
    /// <param name="share">The share, from 0 to 1.</param>
    public TimeSpan Quantile(double share)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);

        // The histogram returns the upper bound of the bucket, which may be above the maximum.
        return Count == 0 ? TimeSpan.Zero : ToTimeSpan(Math.Min(_buckets.GetValueAtPercentile(share * 100), _max));
    }

    internal void Record(long nanoseconds)
    {
        if (nanoseconds > _max)
        {
            _max = nanoseconds;
        }

        // The value may be 0, when a request was due and answered in the same tick of the clock. It may be negative, when rounding makes the answer
        // come a moment before the request was due.
        _buckets.RecordValue(Math.Clamp(nanoseconds, 1, Longest));
        Count++;
    }

    private static TimeSpan ToTimeSpan(long nanoseconds) => TimeSpan.FromTicks((nanoseconds + 50) / 100);
}
