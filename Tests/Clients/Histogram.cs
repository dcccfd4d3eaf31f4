using System.Numerics;

namespace C10kServer.Clients;

/// <summary>Latencies in microseconds, in 32 linear steps for each power of two: never off by more than 1/32.</summary>
internal sealed class Histogram
{
    private const int StepBits = 5;
    private const int Steps = 1 << StepBits;

    private readonly long[] _counts = new long[64 * Steps];

    public long Count { get; private set; }

    public long Max { get; private set; }

    public void Record(TimeSpan latency)
    {
        long value = Math.Max(0, (long)latency.TotalMicroseconds);
        _counts[IndexOf(value)]++;
        Count++;
        Max = Math.Max(Max, value);
    }

    /// <summary>The value that this share of the records does not exceed, to the histogram's precision; 0 when there are none.</summary>
    public long Percentile(double share)
    {
        long wanted = Math.Max(1, (long)Math.Ceiling(Count * share));
        long seen = 0;
        for (int i = 0; Count > 0 && i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= wanted)
            {
                return Math.Min(Max, UpperBound(i));
            }
        }

        return 0;
    }

    private static int IndexOf(long value)
    {
        int shift = Math.Max(0, 63 - BitOperations.LeadingZeroCount((ulong)value) - StepBits);
        return (shift * Steps) + (int)(value >> shift);
    }

    // Indices below 2 * Steps are exact; above, the index holds the shift and the leading bits with the top one set.
    private static long UpperBound(int index)
    {
        int shift = Math.Max(0, (index / Steps) - 1);
        return ((index - ((long)shift * Steps) + 1) << shift) - 1;
    }
}
