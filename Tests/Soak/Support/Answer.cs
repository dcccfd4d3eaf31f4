using System.Globalization;

namespace C10kServer.Soak.Tests.Support;

/// <summary>A line of <c>name key=value key=value</c>, as the server script and the clients write them.</summary>
internal sealed class Answer
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    internal Answer(string line)
    {
        Text = line;
        string[] words = line.Split(' ');
        Name = words[0];
        foreach (string word in words.Skip(1))
        {
            string[] pair = word.Split('=', 2);
            _values[pair[0]] = pair.Length == 2 ? pair[1] : "";
        }
    }

    internal string Name { get; }

    internal string Text { get; }

    internal long this[string key] => long.Parse(Of(key), CultureInfo.InvariantCulture);

    internal string Of(string key) =>
        _values.TryGetValue(key, out string? value) ? value : throw new KeyNotFoundException($"no '{key}' in: {Text}");

    /// <summary>One figure of a value such as <c>begun:12,well:12</c>.</summary>
    internal long Of(string key, string part)
    {
        string figure = Of(key).Split(',').First(f => f.StartsWith(part + ":", StringComparison.Ordinal));
        return long.Parse(figure[(part.Length + 1)..], CultureInfo.InvariantCulture);
    }
}
