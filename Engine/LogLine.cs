using System.Globalization;
using System.Text;

namespace C10kServer.Engine;

/// <summary>
/// A record as text: time, level, name(id), message, and an exception's type and message, on one line that begins with a digit. The
/// rest of an exception, its causes and stack trace, is on lines behind it that begin with spaces. Whatever a peer or a handler put
/// into it, no other line begins with a digit: what would end a line or steer a terminal is escaped.
/// </summary>
internal static class LogLine
{
    private const string Indent = "    ";

    internal static void Append(StringBuilder text, EventRecord record)
    {
        text.Append(CultureInfo.InvariantCulture, $"{record.Time:yyyy-MM-ddTHH:mm:ss.fffzzz} {record.Level} {record.Name}({record.Id}) ");
        AppendEscaped(text, record.Message);
        if (record.Error is { } error)
        {
            text.Append(' ');
            AppendEscaped(text, error);
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
                AppendEscaped(text, line.Trim());
                text.Append('\n');
            }
        }
    }

    private static void AppendEscaped(StringBuilder text, ReadOnlySpan<char> raw)
    {
        foreach (char c in raw)
        {
            switch (c)
            {
                case '\\':
                    text.Append(@"\\");
                    break;
                case '\n':
                    text.Append(@"\n");
                    break;
                case '\r':
                    text.Append(@"\r");
                    break;
                case '\t':
                    text.Append(@"\t");
                    break;
                default:
                    if (IsPlain(c))
                    {
                        text.Append(c);
                    }
                    else
                    {
                        text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    }

                    break;
            }
        }
    }

    // Format characters turn the direction of writing, say: what is read is not what is there.
    private static bool IsPlain(char c) => c < 128
        ? c is >= ' ' and not '\x7f'
        : char.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
