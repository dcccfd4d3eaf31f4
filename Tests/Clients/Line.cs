using System.Globalization;
using System.Text;

namespace C10kServer.Clients;

/// <summary>One answer: <c>name key=value key=value</c>, the same in every culture.</summary>
internal sealed class Line
{
    private readonly StringBuilder _text;

    public Line(string name) => _text = new StringBuilder(name);

    public Line Add(string key, long value) => Add(key, value.ToString(CultureInfo.InvariantCulture));

    public Line Add(string key, string value)
    {
        _text.Append(' ').Append(key).Append('=').Append(value);
        return this;
    }

    /// <summary>Seconds with milliseconds.</summary>
    public Line AddSeconds(string key, TimeSpan value) => Add(key, value.TotalSeconds.ToString("F3", CultureInfo.InvariantCulture));

    /// <summary>So many a second, as a whole number.</summary>
    public Line AddRate(string key, long count, TimeSpan time)
        => Add(key, time > TimeSpan.Zero ? (long)(count / time.TotalSeconds) : 0);

    public Line AddFlag(string key, bool value) => Add(key, value ? 1 : 0);

    /// <summary>Writes the line to standard output, at once.</summary>
    public void Print()
    {
        Console.Out.WriteLine(_text.ToString());
        Console.Out.Flush();
    }

    public override string ToString() => _text.ToString();
}
