using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace C10kServer.Engine;

/// <summary>The ways to find where a message ends and the next one begins.</summary>
public enum FramingKind
{
    /// <summary>There are no messages: bytes are passed on as they come.</summary>
    Raw,

    /// <summary>A message ends at a line feed, with or without a carriage return before it.</summary>
    Line,

    /// <summary>A message ends at a delimiter.</summary>
    Delimiter,

    /// <summary>A number before each message says how many bytes the message has.</summary>
    Length,

    /// <summary>Each message has a fixed number of bytes.</summary>
    Fixed,
}

/// <summary>
/// How a stream of bytes is cut into messages, and how a message that is sent is marked. Immutable, and keeps nothing between calls. May be
/// used from any thread.
/// </summary>
public sealed class Framing
{
    private readonly byte[] _delimiter;
    private readonly byte[] _terminator;

    private Framing(
        FramingKind kind, int size = 0, bool littleEndian = false, byte[]? delimiter = null, byte[]? terminator = null, int alignment = 1)
    {
        Kind = kind;
        Alignment = alignment;
        Size = size;
        LittleEndian = littleEndian;
        _delimiter = delimiter ?? [];
        _terminator = terminator ?? _delimiter;
    }

    /// <summary>Bytes as they come.</summary>
    public static Framing Raw { get; } = new(FramingKind.Raw);

    /// <summary>
    /// Lines that end in LF or CRLF. Neither is part of the message. A message that is sent ends in LF. At the peer's end, the part of a
    /// last line that has come counts as a line.
    /// </summary>
    public static Framing Line { get; } = new(FramingKind.Line, delimiter: "\n"u8.ToArray());

    /// <summary>The same as <see cref="Line"/>, but a message that is sent ends in CRLF, as most Internet protocols want it.</summary>
    public static Framing LineCrLf { get; } = new(FramingKind.Line, delimiter: "\n"u8.ToArray(), terminator: "\r\n"u8.ToArray());

    /// <summary>The way in which the end of a message is found.</summary>
    public FramingKind Kind { get; }

    /// <summary>For Length: the bytes of the number, 1, 2 or 4. For Fixed: the bytes of a message. Otherwise 0.</summary>
    public int Size { get; }

    /// <summary>
    /// For Delimiter: the delimiter counts only at a multiple of this many bytes from the message's beginning. Elsewhere it is part of the
    /// message. If the code units of a text have several bytes, this is the number of these bytes, because the end of one character and the
    /// beginning of the next can together look like the delimiter.
    /// </summary>
    public int Alignment { get; }

    /// <summary>For Length: whether the number's least significant byte comes first.</summary>
    public bool LittleEndian { get; }

    /// <summary>The bytes that follow a message that is sent. Empty for Raw, Length and Fixed.</summary>
    public ReadOnlySpan<byte> Terminator => _terminator;

    /// <summary>The bytes that end a message that is received. Empty for Raw, Length and Fixed. There may be a CR before LF.</summary>
    public ReadOnlySpan<byte> Delimiter => _delimiter;

    /// <summary>
    /// Messages that end in a delimiter, which is not part of them. At the peer's end, the part of a last message that has come counts as a
    /// message.
    /// </summary>
    /// <param name="delimiter">The bytes of the delimiter.</param>
    /// <param name="alignment">See <see cref="Alignment"/>.</param>
    /// <exception cref="ArgumentException">The delimiter is empty.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The alignment is not positive.</exception>
    public static Framing At(ReadOnlySpan<byte> delimiter, int alignment = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(alignment);
        return delimiter.IsEmpty
            ? throw new ArgumentException("A delimiter has at least one byte.", nameof(delimiter))
            : new(FramingKind.Delimiter, delimiter: delimiter.ToArray(), alignment: alignment);
    }

    /// <summary>Messages that stand behind their length. The length is an unsigned number of 1, 2 or 4 bytes that does not count itself.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not 1, 2 or 4.</exception>
    public static Framing Length(int size, bool littleEndian = false) => size is 1 or 2 or 4
        ? new(FramingKind.Length, size, littleEndian)
        : throw new ArgumentOutOfRangeException(nameof(size), size, "A length has 1, 2 or 4 bytes.");

    /// <summary>Messages of a fixed number of bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The size is not positive.</exception>
    public static Framing Fixed(int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        return new(FramingKind.Fixed, size);
    }

    /// <summary>Appends a message together with its length or its terminator.</summary>
    /// <exception cref="ArgumentException">The message is longer than its length field can express.</exception>
    public void Write(ReadOnlySpan<byte> message, IBufferWriter<byte> to)
    {
        ArgumentNullException.ThrowIfNull(to);
        if (Kind == FramingKind.Length)
        {
            WriteHeader(message.Length, to);
        }

        to.Write(message);
        if (_terminator.Length > 0)
        {
            to.Write(_terminator);
        }
    }

    /// <summary>For Length: writes the number that stands before a message of <paramref name="length"/> bytes.</summary>
    /// <exception cref="ArgumentException">The length does not fit.</exception>
    public void WriteHeader(int length, IBufferWriter<byte> to)
    {
        ArgumentNullException.ThrowIfNull(to);
        if (Size < 4 && length >= 1 << (8 * Size))
        {
            throw new ArgumentException($"A message of {length} bytes is too long for a length of {Size} byte{(Size == 1 ? "" : "s")}.");
        }

        Span<byte> bytes = to.GetSpan(Size);
        switch (Size)
        {
            case 1:
                bytes[0] = (byte)length;
                break;
            case 2 when LittleEndian:
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)length);
                break;
            case 2:
                BinaryPrimitives.WriteUInt16BigEndian(bytes, (ushort)length);
                break;
            case 4 when LittleEndian:
                BinaryPrimitives.WriteInt32LittleEndian(bytes, length);
                break;
            default:
                BinaryPrimitives.WriteInt32BigEndian(bytes, length);
                break;
        }

        to.Advance(Size);
    }

    /// <summary>Looks for the first message in the received bytes.</summary>
    /// <param name="bytes">The bytes that have come and were not consumed.</param>
    /// <param name="maximum">The most bytes that a message may have, without its length or its delimiter.</param>
    /// <param name="scanned">How far the same bytes were searched in vain before. Kept up to date.</param>
    /// <param name="message">The message, if there is one.</param>
    /// <param name="consumed">The bytes that the message takes, including its length or its delimiter.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal FrameResult TryRead(ReadOnlySpan<byte> bytes, int maximum, scoped ref int scanned, out ReadOnlySpan<byte> message, out int consumed)
    {
        if (Kind == FramingKind.Line)
        {
            return TryReadLine(bytes, maximum, ref scanned, out message, out consumed);
        }

        return Kind == FramingKind.Delimiter
            ? TryReadUntil(_delimiter, bytes, maximum, ref scanned, out message, out consumed, Alignment)
            : TryReadCounted(bytes, maximum, out message, out consumed);
    }

    /// <summary>Whether the unfinished rest at the peer's end counts as a message. A last line without its line feed does.</summary>
    internal bool EndEndsMessage => Kind is FramingKind.Line or FramingKind.Delimiter;

    /// <summary>The unfinished rest at the peer's end, as a message.</summary>
    internal ReadOnlySpan<byte> Rest(ReadOnlySpan<byte> bytes) => Kind == FramingKind.Line && bytes is [.., (byte)'\r'] ? bytes[..^1] : bytes;

    internal static FrameResult TryReadUntil(
        ReadOnlySpan<byte> delimiter,
        ReadOnlySpan<byte> bytes,
        int maximum,
        scoped ref int scanned,
        out ReadOnlySpan<byte> message,
        out int consumed,
        int alignment = 1)
    {
        message = default;
        consumed = 0;

        // The delimiter may lie partly in the bytes that were searched before and partly in the bytes that have come since.
        int from = Math.Max(0, scanned - (delimiter.Length - 1));
        int found = bytes[from..].IndexOf(delimiter);
        while (alignment > 1 && found >= 0 && (from + found) % alignment != 0)
        {
            from += found + 1;
            found = bytes[from..].IndexOf(delimiter);
        }

        if (found < 0)
        {
            scanned = bytes.Length;
            return bytes.Length >= (long)maximum + delimiter.Length ? FrameResult.TooLong : FrameResult.Partial;
        }

        int length = from + found;
        if (length > maximum)
        {
            return FrameResult.TooLong;
        }

        message = bytes[..length];
        consumed = length + delimiter.Length;
        return FrameResult.Complete;
    }

    private static FrameResult TryReadLine(
        ReadOnlySpan<byte> bytes, int maximum, scoped ref int scanned, out ReadOnlySpan<byte> message, out int consumed)
    {
        message = default;
        consumed = 0;
        int found = bytes[scanned..].IndexOf((byte)'\n');
        if (found < 0)
        {
            scanned = bytes.Length;

            // The one byte beyond the maximum may still be a carriage return.
            return bytes.Length > maximum && !(bytes.Length == maximum + 1 && bytes[maximum] == '\r') ? FrameResult.TooLong : FrameResult.Partial;
        }

        int length = scanned + found;
        consumed = length + 1;
        if (length > 0 && bytes[length - 1] == '\r')
        {
            length--;
        }

        message = bytes[..length];
        return length > maximum ? FrameResult.TooLong : FrameResult.Complete;
    }

    private FrameResult TryReadCounted(ReadOnlySpan<byte> bytes, int maximum, out ReadOnlySpan<byte> message, out int consumed)
    {
        message = default;
        consumed = 0;
        int header = 0;
        long length = Size;
        if (Kind == FramingKind.Length)
        {
            header = Size;
            if (bytes.Length < header)
            {
                return FrameResult.Partial;
            }

            length = ReadLength(bytes);
        }

        if (length > maximum)
        {
            // The message is rejected before a byte of it has come, so that a claim of 4 GB costs nothing (pitfall 27).
            return FrameResult.TooLong;
        }

        if (bytes.Length < header + length)
        {
            return FrameResult.Partial;
        }

        message = bytes.Slice(header, (int)length);
        consumed = header + (int)length;
        return FrameResult.Complete;
    }

    private uint ReadLength(ReadOnlySpan<byte> bytes) => Size switch
    {
        1 => bytes[0],
        2 when LittleEndian => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        2 => BinaryPrimitives.ReadUInt16BigEndian(bytes),
        _ when LittleEndian => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        _ => BinaryPrimitives.ReadUInt32BigEndian(bytes),
    };
}

/// <summary>The result of a search for a message.</summary>
internal enum FrameResult
{
    /// <summary>A complete message.</summary>
    Complete,

    /// <summary>The beginning of a message, or nothing.</summary>
    Partial,

    /// <summary>The beginning of a message that is longer than it may be.</summary>
    TooLong,
}
