using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>Figures of several rounds as one, and figures as text.</summary>
internal static class Statistics
{
    internal static double Median(this IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length == 0 ? double.NaN : sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    internal static string Text(this double value, string format = "N0") =>
        double.IsFinite(value) ? value.ToString(format, CultureInfo.InvariantCulture) : "–";

    internal static string Milliseconds(this double value) => value.Text(value < 9.95 ? "0.0" : "N0");

    /// <summary>One more figure of what may have some already.</summary>
    internal static void Add<TKey, TValue>(this Dictionary<TKey, List<TValue>> figures, TKey key, TValue figure)
        where TKey : notnull
    {
        if (!figures.TryGetValue(key, out List<TValue>? list))
        {
            figures[key] = list = [];
        }

        list.Add(figure);
    }
}
