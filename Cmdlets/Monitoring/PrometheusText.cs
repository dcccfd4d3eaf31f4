using System.Globalization;
using System.Text;

namespace C10kServer;

/// <summary>
/// Writes metrics in the text exposition format 0.0.4 of Prometheus. A metric family consists of its help, its type, and all its samples.
/// </summary>
internal sealed class PrometheusText
{
    private readonly StringBuilder _text = new();

    /// <summary>Writes a count that only grows, from 0 at the start.</summary>
    internal void Counter<T>(string name, string help, IEnumerable<T> items, Func<T, string> labels, Func<T, double> value) =>
        Family(name, "counter", help, items, labels, value);

    /// <summary>Writes a value that goes up and down.</summary>
    internal void Gauge<T>(string name, string help, IEnumerable<T> items, Func<T, string> labels, Func<T, double> value) =>
        Family(name, "gauge", help, items, labels, value);

    /// <summary>The labels in braces. Characters that would end a value too early are escaped.</summary>
    internal static string Labels(params (string Name, string Value)[] labels) =>
        $"{{{string.Join(',', labels.Select(label => $"{label.Name}=\"{Escape(label.Value).Replace("\"", "\\\"", StringComparison.Ordinal)}\""))}}}";

    /// <summary>The whole text. Each line ends with a newline.</summary>
    /// <returns>The text.</returns>
    public override string ToString() => _text.ToString();

    private void Family<T>(string name, string type, string help, IEnumerable<T> items, Func<T, string> labels, Func<T, double> value)
    {
        bool empty = true;
        foreach (T item in items)
        {
            if (empty)
            {
                _text.Append("# HELP ").Append(name).Append(' ').Append(Escape(help)).Append('\n');
                _text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
                empty = false;
            }

            _text.Append(name).Append(labels(item)).Append(' ').Append(Number(value(item))).Append('\n');
        }
    }

    // Whole numbers are written without an exponent, because people read them, too.
    private static string Number(double value) =>
        value == Math.Floor(value) && Math.Abs(value) < 1e15
            ? ((long)value).ToString(CultureInfo.InvariantCulture)
            : value.ToString("R", CultureInfo.InvariantCulture);

    private static string Escape(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}
