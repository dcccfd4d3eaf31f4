using System.Globalization;

namespace C10kServer.Clients;

/// <summary>
/// Text for servers of lines: each message is one, with the number of its connection and its own, dots, and a line feed at the end of its
/// size. So it is a function of connection and offset, too.
/// </summary>
internal sealed class LinePayload : Payload
{
    /// <summary>Two numbers, spaces around the second, and the line feed.</summary>
    public const int LeastSize = 21;

    private readonly int _size;
    private readonly byte[] _scratch;

    /// <param name="size">The bytes of a line, its line feed among them.</param>
    public LinePayload(int size)
        : base(0)
    {
        _size = size;
        _scratch = new byte[Period + size];
        _scratch.AsSpan().Fill((byte)'.');
    }

    /// <inheritdoc/>
    /// <remarks>Valid until the next call.</remarks>
    public override ReadOnlySpan<byte> At(int connection, long offset, long length)
    {
        int wanted = (int)Math.Min(length, Period);
        long line = offset / _size;
        int within = (int)(offset % _size);
        int lines = (within + wanted + _size - 1) / _size;
        if (lines * _size > _scratch.Length)
        {
            // The rest is for the next call.
            lines--;
            wanted = (lines * _size) - within;
        }

        for (int i = 0; i < lines; i++, line++)
        {
            Span<byte> text = _scratch.AsSpan(i * _size, _size);
            connection.TryFormat(text, out _, "D7", CultureInfo.InvariantCulture);
            text[7] = (byte)' ';
            line.TryFormat(text[8..], out _, "D11", CultureInfo.InvariantCulture);
            text[19] = (byte)' ';
            text[^1] = (byte)'\n';
        }

        return _scratch.AsSpan(within, wanted);
    }
}
