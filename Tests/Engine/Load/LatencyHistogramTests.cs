using C10kServer.Engine.Load;

namespace C10kServer.Engine.Tests;

public class LatencyHistogramTests
{
    [Theory]
    [InlineData(0.5)]
    [InlineData(0.9)]
    [InlineData(0.99)]
    [InlineData(0.999)]
    [InlineData(1)]
    public void A_quantile_is_within_one_percent_of_the_exact_one_from_nanoseconds_to_minutes(double share)
    {
        // Each power of ten as often as another: from 100 ns, the resolution of what comes out, to 100 s.
        var random = new Random(7);
        long[] values = [.. Enumerable.Range(0, 100_000).Select(_ => (long)Math.Pow(10, 2 + (random.NextDouble() * 9)))];
        var histogram = new LatencyHistogram();
        foreach (long value in values)
        {
            histogram.Record(value);
        }

        Array.Sort(values);
        long exact = values[(int)Math.Ceiling(share * values.Length) - 1];
        Assert.InRange(histogram.Quantile(share).TotalNanoseconds, (exact * 0.99) - 100, (exact * 1.01) + 100);
        Assert.Equal(values.Length, histogram.Count);
    }

    [Fact]
    public void The_maximum_is_exact_and_no_quantile_is_over_it()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(1_234_567_800);
        Assert.Equal(TimeSpan.FromTicks(12_345_678), histogram.Max);
        Assert.Equal(histogram.Max, histogram.Quantile(0.5));
    }

    [Fact]
    public void Out_of_its_range_the_nearest_bucket_counts()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(-5);
        histogram.Record(0);
        histogram.Record((long)TimeSpan.FromHours(30).TotalNanoseconds);
        Assert.Equal(3, histogram.Count);
        Assert.Equal(TimeSpan.Zero, histogram.Quantile(0.5));
        Assert.Equal(TimeSpan.FromHours(30), histogram.Max);
        Assert.InRange(histogram.Quantile(1).TotalHours, 0.99, 1.01);
    }

    [Fact]
    public void Without_a_value_all_is_zero() => Assert.Equal(TimeSpan.Zero, new LatencyHistogram().Quantile(0.99));

    [Fact]
    public void To_record_allocates_nothing()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(0, Record());
        long Record()
        {
            histogram.Record(1);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100_000; i++)
            {
                histogram.Record(i * 7919L);
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }
}
