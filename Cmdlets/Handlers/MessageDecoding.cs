using System.Text;

namespace C10kServer.Scripting;

/// <summary>Turns received bytes into the object that a handler sees as <c>$_</c>. Called on the workers' threads.</summary>
internal static class MessageDecoding
{
    internal static Engine.MessageDecoder For(HandlerCode code)
    {
        if (code.AsBytes)
        {
            return static (_, data) => data.ToArray();
        }

        Encoding encoding = code.Encoding;
        return code.Framing.Kind == Engine.FramingKind.Raw
            ? (session, data) => DecodePart(encoding, session, data)
            : (_, data) => encoding.GetString(data);
    }

    /// <summary>A packet may end within a character. The decoder then keeps the beginning of the character until the rest arrives.</summary>
    private static string? DecodePart(Encoding encoding, Engine.Session session, ReadOnlySpan<byte> data)
    {
        var decoder = (Decoder)(session.DecoderState ??= encoding.GetDecoder());
        int count = decoder.GetCharCount(data, flush: false);
        if (count == 0)
        {
            decoder.GetChars(data, [], flush: false);
            return null;
        }

        char[]? chars = count > 4096 ? System.Buffers.ArrayPool<char>.Shared.Rent(count) : null;
        Span<char> text = chars ?? stackalloc char[count];
        string message = new(text[..decoder.GetChars(data, text, flush: false)]);
        if (chars is not null)
        {
            System.Buffers.ArrayPool<char>.Shared.Return(chars);
        }

        return message;
    }
}
