using System.Text;

namespace C10kServer.Engine.Tests;

public class SafeTextTests
{
    // Unicode's DerivedCoreProperties: what is drawn as nothing. And what a terminal or an editor acts on.
    private static readonly (int First, int Last)[] Hostile =
    [
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
        (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xE000, 0xF8FF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF), (0xF0000, 0x10FFFF),
    ];

    [Fact]
    public void Of_all_characters_there_are_none_that_is_invisible_or_steers_a_terminal_comes_through()
    {
        for (int value = 0; value <= 0x10FFFF; value++)
        {
            if (value is >= 0xD800 and <= 0xDFFF)
            {
                continue;
            }

            string raw = new Rune(value).ToString();
            string escaped = SafeText.Escape("a" + raw + "b");
            bool hostile = Hostile.Any(range => value >= range.First && value <= range.Last);
            if (hostile)
            {
                Assert.DoesNotContain(raw, escaped, StringComparison.Ordinal);
                Assert.All(escaped, static c => Assert.InRange(c, ' ', '~'));
                Assert.False(SafeText.IsPlain(raw));
            }

            // What is escaped can be told from the rest, and is what it was.
            string read = System.Text.RegularExpressions.Regex.Replace(escaped, @"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|.)", static match => match.Value[1] switch
            {
                'u' or 'U' => new Rune(Convert.ToInt32(match.Value[2..], 16)).ToString(),
                'n' => "\n",
                'r' => "\r",
                't' => "\t",
                char other => other.ToString(),
            });
            Assert.Equal("a" + raw + "b", read);
        }
    }

    [Theory]
    [InlineData("plain text, Grüße, 你好, 👋, العربية, é as two")]
    [InlineData("")]
    [InlineData("[::1]:8080 {x} 100% ~")]
    public void Text_of_any_script_stays_as_it_is(string text)
    {
        Assert.Same(text, SafeText.Escape(text));
        Assert.True(SafeText.IsPlain(text));
    }

    [Theory]
    [InlineData("\u001b[31mred\u001b[0m", @"\u001b[31mred\u001b[0m")]
    [InlineData("\u009b31m", @"\u009b31m")]
    [InlineData("\u001b]0;title\a", @"\u001b]0;title\u0007")]
    [InlineData("tag \U000e0041\U000e007f", @"tag \U000e0041\U000e007f")]
    [InlineData("selector \U000e0100 \ufe0f", @"selector \U000e0100 \ufe0f")]
    [InlineData("music \U0001d173", @"music \U0001d173")]
    [InlineData("zero\u200bwidth\u200djoiner\ufeff", @"zero\u200bwidth\u200djoiner\ufeff")]
    [InlineData("isolate \u2067 \u2069", @"isolate \u2067 \u2069")]
    [InlineData("one\r\ntwo\tthree", @"one\r\ntwo\tthree")]
    [InlineData(@"C:\new", @"C:\\new")]
    public void A_character_that_acts_is_shown_by_its_number(string text, string shown)
    {
        Assert.Equal(shown, SafeText.Escape(text));
    }

    [Fact]
    public void Half_of_a_surrogate_pair_is_shown_by_its_number()
    {
        // Made here, because an attribute cannot hold it.
        Assert.Equal(@"high \ud83d", SafeText.Escape("high " + '\ud83d'));
        Assert.Equal(@"low \udc4b and more", SafeText.Escape("low " + '\udc4b' + " and more"));
        Assert.Equal("\ud83d\udc4b", SafeText.Escape("\ud83d\udc4b"));
        Assert.False(SafeText.IsPlain(['\ud83d']));
    }

    [Fact]
    public void Lines_stay_lines_and_the_rest_is_escaped()
    {
        Assert.Equal("at A\nat B\\u001b[2J\n  at C\\U000e0041", SafeText.EscapeLines("at A\r\nat B\u001b[2J\u2028  at C\U000e0041"));
    }

    [Fact]
    public void A_path_is_escaped_where_it_is_shown_and_is_itself_where_it_is_asked_for()
    {
        var endPoint = new UnixEndPoint("/run/\u001b[2J\n\u202e.sock");
        Assert.Equal(@"unix:/run/\u001b[2J\n\u202e.sock", endPoint.ToString());
        Assert.Equal("/run/\u001b[2J\n\u202e.sock", endPoint.Path);
    }
}
