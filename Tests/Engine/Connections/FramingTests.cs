using System.Buffers;
using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What the messages are must not depend on how their bytes were cut into packets.</summary>
public class FramingTests
{
    private const int Maximum = 1000;

    public static TheoryData<string> Names => Framings.Names;

    [Theory]
    [InlineData("one\ntwo\n", "one|two|", "")]
    [InlineData("one\r\ntwo\r\n", "one|two|", "")]
    [InlineData("one\ntwo\r\nthree\n", "one|two|three|", "")]
    [InlineData("\n\r\n\n", "|||", "")]
    [InlineData("a\rb\n\rc\n", "a\rb|\rc|", "")]
    [InlineData("a\r\r\nb\n\r\n", "a\r|b||", "")]
    [InlineData("one\nrest", "one|", "rest")]
    [InlineData("one\nrest\r", "one|", "rest")]
    [InlineData("one\n\r", "one|", "")]
    [InlineData("", "", "")]
    public void A_line_ends_at_LF_or_CRLF_wherever_it_is_cut(string stream, string expected, string rest)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(stream);
        foreach (int[] cuts in AllCuts(bytes.Length))
        {
            var reader = new Reader(Framing.Line);
            reader.Feed(bytes, cuts);
            Assert.Equal(expected.Split('|')[..^1], Framings.Texts(reader.Messages));
            Assert.Equal(rest, Encoding.Latin1.GetString(Framing.Line.Rest(reader.Rest)));
        }
    }

    [Theory]
    [InlineData(";", "a;b;;c", "a|b||", "c")]
    [InlineData("\r\n", "a\r\n\r\r\n\n\r\n\r", "a|\r|\n|", "\r")]
    [InlineData("aab", "aaabaabaaaabaa", "a||aa|", "aa")]
    [InlineData("abab", "abaababab", "aba|", "ab")]
    [InlineData("aaa", "aaaaaaaa", "||", "aa")]
    public void A_delimiter_is_found_wherever_it_is_cut(string delimiter, string stream, string expected, string rest)
    {
        Framing framing = Framing.At(Encoding.Latin1.GetBytes(delimiter));
        byte[] bytes = Encoding.Latin1.GetBytes(stream);
        foreach (int[] cuts in AllCuts(bytes.Length))
        {
            var reader = new Reader(framing);
            reader.Feed(bytes, cuts);
            Assert.Equal(expected.Split('|')[..^1], Framings.Texts(reader.Messages));
            Assert.Equal(rest, Encoding.Latin1.GetString(framing.Rest(reader.Rest)));
        }
    }

    [Theory]
    [InlineData(2, "x|", "ax|bx|cdx|ex|")]
    [InlineData(2, "x|", "x|x|ax|x|b")]
    [InlineData(4, "x|", "abx|cdx|x|efghx|i")]
    [InlineData(2, ";", "a;;b;;;c")]
    [InlineData(2, "xx", "axxxxxbxxcx")]
    public void A_delimiter_that_is_not_aligned_is_part_of_the_message_wherever_it_is_cut(
        int alignment, string delimiter, string stream)
    {
        Framing framing = Framing.At(Encoding.Latin1.GetBytes(delimiter), alignment);
        byte[] bytes = Encoding.Latin1.GetBytes(stream);
        foreach (int[] cuts in AllCuts(bytes.Length))
        {
            var reader = new Reader(framing);
            reader.Feed(bytes, cuts);
            Assert.Equal(Expected(out string rest), Framings.Texts(reader.Messages));
            Assert.Equal(rest, Encoding.Latin1.GetString(framing.Rest(reader.Rest)));
        }

        // By the definition: at every multiple from the beginning of the message.
        List<string> Expected(out string left)
        {
            var messages = new List<string>();
            left = stream;
            for (int at = 0; at + delimiter.Length <= left.Length;)
            {
                if (string.CompareOrdinal(left, at, delimiter, 0, delimiter.Length) == 0)
                {
                    messages.Add(left[..at]);
                    left = left[(at + delimiter.Length)..];
                    at = 0;
                }
                else
                {
                    at += alignment;
                }
            }

            return messages;
        }
    }

    [Theory]
    [InlineData(1, false, new byte[] { 2, 7, 8, 0, 1, 9 })]
    [InlineData(2, false, new byte[] { 0, 2, 7, 8, 0, 0, 0, 1, 9 })]
    [InlineData(2, true, new byte[] { 2, 0, 7, 8, 0, 0, 1, 0, 9 })]
    [InlineData(4, false, new byte[] { 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9 })]
    [InlineData(4, true, new byte[] { 2, 0, 0, 0, 7, 8, 0, 0, 0, 0, 1, 0, 0, 0, 9 })]
    public void A_length_is_read_and_written_in_its_size_and_order(int size, bool littleEndian, byte[] stream)
    {
        Framing framing = Framing.Length(size, littleEndian);
        byte[][] messages = [[7, 8], [], [9]];
        Assert.Equal(stream, Framings.Encode(framing, messages));
        foreach (int[] cuts in AllCuts(stream.Length))
        {
            var reader = new Reader(framing);
            reader.Feed(stream, cuts);
            Assert.Equal(messages, reader.Messages);
            Assert.Empty(reader.Rest.ToArray());
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Messages_survive_the_way_through_any_packets(string name)
    {
        Framing framing = Framings.Of(name);
        var random = new Random(20);
        List<byte[]> messages = Framings.Messages(framing, random, 12, longest: 40);
        byte[] bytes = Framings.Encode(framing, messages);
        Check([.. Enumerable.Range(1, bytes.Length - 1)]);
        for (int cut = 0; cut <= bytes.Length; cut++)
        {
            Check([cut]);
        }

        for (int round = 0; round < 3000; round++)
        {
            messages = Framings.Messages(framing, random, random.Next(20), longest: round % 100 == 0 ? Maximum : 60);
            bytes = Framings.Encode(framing, messages);
            Check([.. Enumerable.Range(0, random.Next(15)).Select(_ => random.Next(bytes.Length + 1)).Order()]);
        }

        void Check(int[] cuts)
        {
            var reader = new Reader(framing);
            reader.Feed(bytes, cuts);
            Assert.False(reader.TooLong);
            Framings.AssertSame(messages, reader.Messages);
            Assert.Empty(reader.Rest.ToArray());
        }
    }

    [Theory]
    [InlineData("Line", "\n")]
    [InlineData("Line", "\r\n")]
    [InlineData("LineCrLf", "\r\n")]
    [InlineData("Delimiter ;", ";")]
    [InlineData("Delimiter CRLF", "\r\n")]
    [InlineData("Delimiter aab", "aab")]
    public void A_message_of_the_maximum_passes_and_one_byte_more_does_not_wherever_it_is_cut(string name, string mark)
    {
        Framing framing = Framings.Of(name);
        string[] tails = mark == "\r\n" ? ["x", "\r"] : ["x"];
        foreach (string tail in tails)
        {
            byte[] fits = Encoding.Latin1.GetBytes($"ok{mark}{new string('x', 7)}{tail}{mark}");
            byte[] tooLong = Encoding.Latin1.GetBytes($"ok{mark}{new string('x', 8)}{tail}{mark}");
            foreach (int[] cuts in AllCuts(fits.Length))
            {
                var reader = new Reader(framing, maximum: 8);
                reader.Feed(fits, cuts);
                Assert.Equal(["ok", new string('x', 7) + tail], Framings.Texts(reader.Messages));
                Assert.False(reader.TooLong);
            }

            foreach (int[] cuts in AllCuts(tooLong.Length))
            {
                var reader = new Reader(framing, maximum: 8);
                reader.Feed(tooLong, cuts);
                Assert.Equal(["ok"], Framings.Texts(reader.Messages));
                Assert.True(reader.TooLong);
            }
        }
    }

    [Theory]
    [InlineData(1, false, 255)]
    [InlineData(2, true, 65535)]
    [InlineData(2, false, 65535)]
    [InlineData(4, true, 70000)]
    [InlineData(4, false, 70000)]
    public void A_length_over_the_maximum_is_known_before_a_byte_of_the_message_has_come(int size, bool littleEndian, int length)
    {
        Framing framing = Framing.Length(size, littleEndian);
        byte[] bytes = Framings.Encode(framing, [new byte[length]]);
        var reader = new Reader(framing, length);
        reader.Feed(bytes, []);
        Assert.Equal(length, Assert.Single(reader.Messages).Length);

        reader = new Reader(framing, length - 1);
        reader.Feed(bytes.AsSpan(0, size), []);
        Assert.True(reader.TooLong);

        reader = new Reader(Framing.Length(4, littleEndian), int.MaxValue);
        reader.Feed([0xFF, 0xFF, 0xFF, 0xFF], []);
        Assert.True(reader.TooLong);
    }

    [Fact]
    public void A_length_that_its_field_cannot_say_is_refused_and_nothing_is_written()
    {
        var bytes = new ArrayBufferWriter<byte>();
        Framing.Length(1).Write(new byte[255], bytes);
        Framing.Length(2).Write(new byte[65535], bytes);
        int written = bytes.WrittenCount;
        Assert.Equal(1 + 255 + 2 + 65535, written);
        Assert.Throws<ArgumentException>(() => Framing.Length(1).Write(new byte[256], bytes));
        Assert.Throws<ArgumentException>(() => Framing.Length(2).Write(new byte[65536], bytes));
        Assert.Equal(written, bytes.WrittenCount);
        Framing.Length(4).Write(new byte[65536], bytes);
    }

    [Fact]
    public void What_makes_no_framing_is_refused()
    {
        Assert.Equal("delimiter", Assert.Throws<ArgumentException>(() => Framing.At([])).ParamName);
        foreach (int size in new[] { -1, 0, 3, 5, 8 })
        {
            Assert.Equal("size", Assert.Throws<ArgumentOutOfRangeException>(() => Framing.Length(size)).ParamName);
        }

        Assert.Equal("size", Assert.Throws<ArgumentOutOfRangeException>(() => Framing.Fixed(0)).ParamName);
        Assert.Equal("size", Assert.Throws<ArgumentOutOfRangeException>(() => Framing.Fixed(-1)).ParamName);
        var options = new ServerOptions { HandlerFactory = static () => new LambdaHandler(), MaxMessage = 100, Framing = Framing.Fixed(100) };
        options.Validate();
        Assert.Equal("MaxMessage", Assert.Throws<ArgumentException>((options with { Framing = Framing.Fixed(101) }).Validate).ParamName);
    }

    [Fact]
    public void A_delimiter_is_the_framings_own_copy()
    {
        byte[] delimiter = [.. ";"u8];
        Framing framing = Framing.At(delimiter);
        delimiter[0] = (byte)'!';
        Assert.Equal(";"u8.ToArray(), framing.Delimiter.ToArray());
    }

    [Fact]
    public void A_long_message_that_comes_byte_by_byte_is_not_searched_again_with_each()
    {
        const int Size = 1_000_000;
        foreach (Framing framing in new[] { Framing.Line, Framing.At("\r\n"u8) })
        {
            byte[] bytes = [.. Enumerable.Repeat((byte)'x', Size), .. "\r\n"u8];
            int scanned = 0;

            // A search from the start each time would be over five hundred billion bytes.
            var watch = Stopwatch.StartNew();
            for (int n = 1; n < bytes.Length; n++)
            {
                Assert.Equal(FrameResult.Partial, framing.TryRead(bytes.AsSpan(0, n), Size, ref scanned, out _, out _));
            }

            Assert.Equal(FrameResult.Complete, framing.TryRead(bytes, Size, ref scanned, out ReadOnlySpan<byte> message, out int consumed));
            Assert.Equal((Size, Size + 2), (message.Length, consumed));
            Assert.InRange(watch.Ran.TotalSeconds, 0, 5);
        }
    }

    /// <summary>For few bytes every way to cut them; for more, each single cut, each pair of neighbours, and byte by byte.</summary>
    private static IEnumerable<int[]> AllCuts(int length)
    {
        if (length <= 12)
        {
            for (int set = 0; set < 1 << Math.Max(0, length - 1); set++)
            {
                yield return [.. Enumerable.Range(1, Math.Max(0, length - 1)).Where(at => (set >> (at - 1) & 1) != 0)];
            }
        }
        else
        {
            yield return [.. Enumerable.Range(1, length - 1)];
            for (int cut = 0; cut < length; cut++)
            {
                yield return [cut];
                yield return [cut, cut + 1];
            }
        }
    }

    /// <summary>Reads as a connection does: what was not consumed stays, and is not searched again.</summary>
    private sealed class Reader(Framing framing, int maximum = Maximum)
    {
        private readonly InputBuffer _input = new(new InputPool());

        internal List<byte[]> Messages { get; } = [];

        internal bool TooLong { get; private set; }

        internal ReadOnlySpan<byte> Rest => _input.Bytes;

        internal void Feed(ReadOnlySpan<byte> bytes, int[] cuts)
        {
            int from = 0;
            foreach (int cut in cuts)
            {
                Feed(bytes[from..cut]);
                from = cut;
            }

            Feed(bytes[from..]);
        }

        private void Feed(ReadOnlySpan<byte> packet)
        {
            if (packet.IsEmpty || TooLong)
            {
                return;
            }

            _input.Append(packet, now: 0);
            while (true)
            {
                int scanned = _input.Scanned;
                FrameResult result = framing.TryRead(_input.Bytes, maximum, ref scanned, out ReadOnlySpan<byte> message, out int consumed);
                _input.Scanned = scanned;
                if (result != FrameResult.Complete)
                {
                    TooLong = result == FrameResult.TooLong;
                    return;
                }

                Messages.Add(message.ToArray());
                _input.Consume(consumed, now: 0);
                _input.Release();
            }
        }
    }
}
