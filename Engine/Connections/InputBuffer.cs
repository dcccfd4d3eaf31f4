namespace C10kServer.Engine;

/// <summary>
/// The bytes of a connection that no message has taken yet. Its memory is rented when bytes come and given back when all of them are
/// consumed, so an idle connection owns no buffer. The buffer grows with what arrives, never with what a peer claims (pitfall 27), and
/// counts in the worker's <see cref="InputBudget"/>. Belongs to the worker's thread.
/// </summary>
internal sealed class InputBuffer(InputPool pool)
{
    private InputPool _pool = pool;
    private byte[]? _bytes;
    private int _start;
    private int _end;

    internal int Length => _end - _start;

    /// <summary>The bytes of memory that the buffer holds.</summary>
    internal int Held => _bytes?.Length ?? 0;

    /// <summary>The bytes that have come. Valid until the next call that changes the buffer.</summary>
    internal ReadOnlySpan<byte> Bytes => _bytes.AsSpan(_start, Length);

    /// <summary>
    /// When the first of the bytes came, when the last message ended, or when the next message was asked for again; milliseconds on the
    /// engine's clock.
    /// </summary>
    internal long MessageBegan { get; set; }

    /// <summary>
    /// How far the end of the first message has been looked for. A peer that sends byte by byte must not cost a search over everything it
    /// has sent with each byte.
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

    /// <summary>Consumes a message. Its bytes stay where they are until <see cref="Release"/>.</summary>
    internal void Consume(int count, long now)
    {
        _start += count;
        Scanned = 0;
        MessageBegan = now;
    }

    /// <summary>Gives the memory back if the buffer is empty. Must not be called while a callback reads from the buffer.</summary>
    internal void Release()
    {
        if (_bytes is not null && _start == _end)
        {
            Discard();
        }
    }

    /// <summary>Called when the connection leaves the worker that owns the pool.</summary>
    internal void Leave() => _pool.Leave(Held);

    /// <summary>Called when the connection has come to the worker that owns the pool.</summary>
    internal void Enter(InputPool pool)
    {
        _pool = pool;
        pool.Enter(Held);
    }

    /// <summary>Drops the content. Must not be called while a callback reads from the buffer.</summary>
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
