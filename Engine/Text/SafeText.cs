using System.Globalization;
using System.Text;

namespace C10kServer.Engine;

/// <summary>
/// Escapes text that a peer may have written, for everything that people read: logs, tables, messages, ToString(). Characters that end a line,
/// control a terminal, change the direction of writing or are invisible become \n, \r, \t, \u001b or \U000e0041. A backslash becomes two, so
/// that the original text can be told from the escaped text (pitfall 56). All other characters stay. From any thread.
/// </summary>
public static class SafeText
{
    private const int PlainIndex = -1;

    // Unicode's Default_Ignorable_Code_Point outside the categories that IsPlain refuses: letters and marks that no terminal draws. Text can be
    // hidden in them, just as in the tag characters.
    private static readonly (int First, int Last)[] Invisible =
    [
        (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0),
        (0xE0000, 0xE0FFF),
    ];

    /// <summary>Escapes a text into one line. Returns the same string if it has nothing to escape.</summary>
    /// <param name="text">The text as it came.</param>
    /// <returns>The escaped text.</returns>
    public static string Escape(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (FirstToEscape(text) == PlainIndex)
        {
            return text;
        }

        var escaped = new StringBuilder(text.Length + 16);
        Append(escaped, text);
        return escaped.ToString();
    }

    /// <summary>Keeps a text's line ends and escapes everything else, for stack traces, whose lines must stay lines.</summary>
    /// <param name="text">The text as it came.</param>
    /// <returns>The escaped text, whose lines end with \n alone.</returns>
    public static string EscapeLines(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var escaped = new StringBuilder(text.Length + 16);
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            if (escaped.Length > 0)
            {
                escaped.Append('\n');
            }

            Append(escaped, line);
        }

        return escaped.ToString();
    }

    /// <summary>Whether every character of a text can be shown as it is. A backslash counts as a character that can.</summary>
    /// <param name="text">The text.</param>
    /// <returns>False if <see cref="Escape"/> would replace a character other than a backslash.</returns>
    public static bool IsPlain(ReadOnlySpan<char> text)
    {
        while (!text.IsEmpty)
        {
            if (!IsPlain(text, out int length))
            {
                return false;
            }

            text = text[length..];
        }

        return true;
    }

    /// <summary>Escapes a text and appends it to another one.</summary>
    internal static void Append(StringBuilder escaped, ReadOnlySpan<char> raw)
    {
        while (!raw.IsEmpty)
        {
            int plain = FirstToEscape(raw);
            escaped.Append(plain == PlainIndex ? raw : raw[..plain]);
            if (plain == PlainIndex)
            {
                return;
            }

            raw = raw[plain..];
            raw = raw[AppendEscape(escaped, raw)..];
        }
    }

    /// <summary>Escapes the first character, and returns how many UTF-16 units the character has.</summary>
    private static int AppendEscape(StringBuilder escaped, ReadOnlySpan<char> raw)
    {
        switch (raw[0])
        {
            case '\\':
                escaped.Append(@"\\");
                return 1;
            case '\n':
                escaped.Append(@"\n");
                return 1;
            case '\r':
                escaped.Append(@"\r");
                return 1;
            case '\t':
                escaped.Append(@"\t");
                return 1;
        }

        if (Rune.DecodeFromUtf16(raw, out Rune rune, out int length) == System.Buffers.OperationStatus.Done && length == 2)
        {
            escaped.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:x8}");
            return length;
        }

        // Half of a surrogate pair is not a character, but has a number too.
        escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)raw[0]:x4}");
        return 1;
    }

    private static int FirstToEscape(ReadOnlySpan<char> text)
    {
        for (int i = 0; i < text.Length;)
        {
            if (text[i] == '\\' || !IsPlain(text[i..], out int length))
            {
                return i;
            }

            i += length;
        }

        return PlainIndex;
    }

    /// <summary>Whether the first character can be shown as it is, and how many UTF-16 units the character has.</summary>
    private static bool IsPlain(ReadOnlySpan<char> text, out int length)
    {
        char first = text[0];
        if (first < 128)
        {
            length = 1;
            return first is >= ' ' and not '\x7f';
        }

        return Rune.DecodeFromUtf16(text, out Rune rune, out length) == System.Buffers.OperationStatus.Done && IsPlain(rune);
    }

    private static bool IsPlain(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate
            or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned)
        && !Array.Exists(Invisible, range => rune.Value >= range.First && rune.Value <= range.Last);
}
