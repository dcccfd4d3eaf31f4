namespace C10kServer.Engine;

/// <summary>
/// A connection's bytes that no message has taken yet. Its memory is rented when bytes come and given back when all are consumed: an
/// idle connection owns no buffer. It grows with what arrives, never with what a peer claims (pitfall 27), and counts in the worker's
/// <see cref="InputBudget"/>. Belongs to the worker's thread.
/// </summary>
internal sealed class InputBuffer(InputPool pool)
{
    private InputPool _pool = pool;
    private byte[]? _bytes;
    private int _start;
    private int _end;

    internal int Length => _end - _start;

    /// <summary>The bytes of memory that it holds.</summary>
    internal int Held => _bytes?.Length ?? 0;

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

    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal void Append(ReadOnlySpan<byte> data, long now)
    {
        bool begins = Length == 0;
        if (_bytes is null)
        {
            _bytes = _pool.Rent(data.Length);
        }
        else if (_bytes.Length - _end < data.Length)
        {
            byte[] larger = Length + data.Length <= _bytes.Length
                ? _bytes
                : _pool.Rent(Length + data.Length);
            Bytes.CopyTo(larger);
            if (larger != _bytes)
            {
                _pool.Return(_bytes);
                _bytes = larger;
            }

            (_start, _end) = (0, Length);
        }

        data.CopyTo(_bytes.AsSpan(_end));
        _end += data.Length;
        if (begins)
        {
            MessageBegan = now;
        }
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

    /// <summary>Its connection leaves the worker whose pool this was.</summary>
    internal void Leave() => _pool.Leave(Held);

    /// <summary>Its connection has come to the worker whose pool this is.</summary>
    internal void Enter(InputPool pool)
    {
        _pool = pool;
        pool.Enter(Held);
    }

    /// <summary>Drops what is in it. Not while a callback reads from it.</summary>
    internal void Discard()
    {
        if (_bytes is not null)
        {
            _pool.Return(_bytes);
            _bytes = null;
            _start = _end = Scanned = 0;
        }
    }
}
