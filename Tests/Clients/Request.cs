using System.Globalization;

namespace C10kServer.Clients;

/// <summary>A line of the <c>hold</c> command's input: a name, then values by place or by <c>key=value</c>.</summary>
internal sealed class Request
{
    private readonly List<string> _values = [];
    private readonly Dictionary<string, string> _named = new(StringComparer.Ordinal);

    public Request(string line)
    {
        string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        Name = words.Length > 0 ? words[0] : "";
        foreach (string word in words.Skip(1))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
            {
                _values.Add(word);
            }
            else
            {
                _named[word[..equals]] = word[(equals + 1)..];
            }
        }
    }

    public string Name { get; }

    /// <summary>How long to wait for what was asked, where the line says so.</summary>
    public TimeSpan? Timeout => _named.TryGetValue("timeout", out string? text) ? TimeSpan.FromSeconds(Parse("timeout", text)) : null;

    /// <summary>A value by its key or, failing that, its place; the default where it is not given.</summary>
    /// <exception cref="FormatException">It is not a number from <paramref name="minimum"/> on.</exception>
    public int Number(string key, int place, int fallback, int minimum)
    {
        string? text = _named.TryGetValue(key, out string? named) ? named : place < _values.Count ? _values[place] : null;
        if (text is null)
        {
            return fallback;
        }

        double value = Parse(key, text);
        return value >= minimum && value <= int.MaxValue && value == Math.Floor(value) ? (int)value : throw Bad(key);
    }

    private static double Parse(string key, string text)
        => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= 0 && value <= int.MaxValue
            ? value : throw Bad(key);

    private static FormatException Bad(string key) => new("bad_" + key);
}
