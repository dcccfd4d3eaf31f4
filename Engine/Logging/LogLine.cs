using System.Globalization;
using System.Text;

namespace C10kServer.Engine;

/// <summary>
/// A record as text. The first line begins with a digit, and has the time, level, name(id), message, and the exception's type and message.
/// The lines after it begin with spaces, and have the rest of the exception: its causes and stack trace. No other line begins with a digit,
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

        // The exception's text usually begins with its type and message, which are on the line already. An exception class may override that.
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
