using System.Buffers;
using System.Text;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Framings by a name that a theory can show, and messages that each of them can carry.</summary>
internal static class Framings
{
    private static readonly Dictionary<string, Framing> s_all = new()
    {
        ["Line"] = Framing.Line,
        ["LineCrLf"] = Framing.LineCrLf,
        ["Delimiter ;"] = Framing.At(";"u8),
        ["Delimiter CRLF"] = Framing.At("\r\n"u8),
        ["Delimiter aab"] = Framing.At("aab"u8),
        ["Length 1"] = Framing.Length(1),
        ["Length 2"] = Framing.Length(2),
        ["Length 2 little"] = Framing.Length(2, littleEndian: true),
        ["Length 4"] = Framing.Length(4),
        ["Length 4 little"] = Framing.Length(4, littleEndian: true),
        ["Fixed 1"] = Framing.Fixed(1),
        ["Fixed 7"] = Framing.Fixed(7),
    };

    public static TheoryData<string> Names => [.. s_all.Keys];

    internal static Framing Of(string name) => s_all[name];

    internal static byte[] Encode(Framing framing, IEnumerable<byte[]> messages)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (byte[] message in messages)
        {
            framing.Write(message, bytes);
        }

        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>Random bytes, empty ones among them; few different ones, so that parts of marks occur inside.</summary>
    internal static List<byte[]> Messages(Framing framing, Random random, int count, int longest = 200)
    {
        var messages = new List<byte[]>(count);
        while (messages.Count < count)
        {
            int length = framing.Kind == FramingKind.Fixed ? framing.Size
                : random.Next(4) == 0 ? random.Next(3)
                : random.Next((framing is { Kind: FramingKind.Length, Size: 1 } ? Math.Min(longest, 255) : longest) + 1);
            byte[] message = framing.Kind is FramingKind.Length or FramingKind.Fixed
                ? random.GetItems<byte>([0, 1, 2, 0x0A, 0x0D, 0x7F, 0x80, 0xFF], length)
                : random.GetItems("abcdefgh\r\0"u8, length);
            if (framing.Delimiter.Length == 0 || Survives(framing, message))
            {
                messages.Add(message);
            }
        }

        return messages;
    }

    /// <summary>As xunit's Equal, which takes a second for what this does in a millisecond.</summary>
    internal static void AssertSame(IReadOnlyCollection<byte[]> expected, IReadOnlyCollection<byte[]> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        int i = 0;
        foreach ((byte[] one, byte[] other) in expected.Zip(actual))
        {
            Assert.True(one.AsSpan().SequenceEqual(other), $"message {i} is {Convert.ToHexString(other)}, not {Convert.ToHexString(one)}");
            i++;
        }
    }

    internal static string[] Texts(IEnumerable<byte[]> messages) => [.. messages.Select(static message => Encoding.Latin1.GetString(message))];

    // A message that has the delimiter in it, or makes one with the mark that follows it, is more than one; and a line that ends in CR
    // loses it.
    private static bool Survives(Framing framing, byte[] message)
    {
        byte[] marked = [.. message, .. framing.Delimiter];
        return marked.AsSpan().IndexOf(framing.Delimiter) == message.Length
            && !(framing.Kind == FramingKind.Line && message is [.., (byte)'\r']);
    }
}
