using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>A line of the tests' client: a word, and numbers as key=value.</summary>
internal sealed class Answer
{
    private readonly Dictionary<string, string> _values;

    /// <exception cref="InvalidOperationException">It says that something was wrong, or not done in time.</exception>
    internal Answer(string line)
    {
        _values = line.Split(' ').Skip(1)
            .Select(static pair => pair.Split('=', 2))
            .ToDictionary(static pair => pair[0], static pair => pair[1]);
        if (_values.GetValueOrDefault("complete", "1") != "1" || _values.GetValueOrDefault("wrong", "0") != "0")
        {
            throw new InvalidOperationException($"The client says: {line}");
        }
    }

    internal double this[string key] => double.Parse(_values[key], CultureInfo.InvariantCulture);
}
