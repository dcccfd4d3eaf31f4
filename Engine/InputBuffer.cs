using System.Buffers;

namespace C10kServer.Engine;

/// <summary>
/// A connection's bytes that no message has taken yet. Its memory is rented when bytes come and given back when all are consumed: an
/// idle connection owns no buffer. It grows with what arrives, never with what a peer claims (pitfall 27). Belongs to the worker's
/// thread.
/// </summary>
internal sealed class InputBuffer
{
    private byte[]? _bytes;
    private int _start;
    private int _end;

    internal int Length => _end - _start;

    /// <summary>What has come. Valid until the next call that changes it.</summary>
    internal ReadOnlySpan<byte> Bytes => _bytes.AsSpan(_start, Length);

    /// <summary>
    /// When the first of the bytes came, the last message ended, or the next one was asked for again; milliseconds on the engine's clock.
    /// </summary>
    internal long MessageBegan { get; set; }

    /// <summary>
    /// How far the end of the first message has been looked for: a peer that sends byte by byte must not cost a search over
    /// all it has sent with each.
    /// </summary>
    internal int Scanned { get; set; }

    internal void Append(ReadOnlySpan<byte> data, long now)
    {
        if (Length == 0)
        {
            MessageBegan = now;
        }

        if (_bytes is null)
        {
            _bytes = ArrayPool<byte>.Shared.Rent(data.Length);
        }
        else if (_bytes.Length - _end < data.Length)
        {
            byte[] larger = Length + data.Length <= _bytes.Length
                ? _bytes
                : ArrayPool<byte>.Shared.Rent(Math.Max(Length + data.Length, _bytes.Length * 2));
            Bytes.CopyTo(larger);
            if (larger != _bytes)
            {
                ArrayPool<byte>.Shared.Return(_bytes);
                _bytes = larger;
            }

            (_start, _end) = (0, Length);
        }

        data.CopyTo(_bytes.AsSpan(_end));
        _end += data.Length;
    }

    /// <summary>A message is over. Its bytes stay where they are until <see cref="Release"/>.</summary>
    internal void Consume(int count, long now)
    {
        _start += count;
        Scanned = 0;
        MessageBegan = now;
    }

    /// <summary>Gives the memory back when nothing is in it. Not while a callback reads from it.</summary>
    internal void Release()
    {
        if (_bytes is not null && _start == _end)
        {
            Discard();
        }
    }

    /// <summary>Drops what is in it. Not while a callback reads from it.</summary>
    internal void Discard()
    {
        if (_bytes is not null)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = null;
            _start = _end = Scanned = 0;
        }
    }
}
