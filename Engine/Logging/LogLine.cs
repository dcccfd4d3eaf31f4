using System.Globalization;
using System.Text;

namespace C10kServer.Engine;

/// <summary>
/// A record as text: time, level, name(id), message, and an exception's type and message, on one line that begins with a digit. The
/// rest of an exception, its causes and stack trace, is on lines behind it that begin with spaces. No other line begins with a digit,
/// because <see cref="SafeText"/> escapes everything that a peer or a handler put into the record.
/// </summary>
internal static class LogLine
{
    private const string Indent = "    ";

    internal static void Append(StringBuilder text, EventRecord record)
    {
        text.Append(CultureInfo.InvariantCulture, $"{record.Time:yyyy-MM-ddTHH:mm:ss.fffzzz} {record.Level} {record.Name}({record.Id}) ");
        SafeText.Append(text, record.Message);
        if (record.Error is { } error)
        {
            text.Append(' ');
            SafeText.Append(text, error);
        }

        text.Append('\n');
        if (record.Exception is not { } exception)
        {
            return;
        }

        // It begins with what is on the line already, as far as its class has left it as it was.
        ReadOnlySpan<char> rest = exception.StartsWith(record.Error ?? "", StringComparison.Ordinal) ? exception.AsSpan((record.Error ?? "").Length) : exception;
        foreach (ReadOnlySpan<char> line in rest.EnumerateLines())
        {
            if (!line.IsWhiteSpace())
            {
                text.Append(Indent);
                SafeText.Append(text, line.Trim());
                text.Append('\n');
            }
        }
    }
}
