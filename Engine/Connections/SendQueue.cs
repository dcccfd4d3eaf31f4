namespace C10kServer.Engine;

/// <summary>
/// Output that the socket has not taken yet, as bytes in order. The queue is made when a first send leaves something over. Its blocks go
/// back to the pool as they are sent. Belongs to its worker's thread.
/// </summary>
internal sealed class SendQueue(BufferPool pool)
{
    private readonly Queue<BufferPool.Block> _blocks = new(1);
    private BufferPool.Block _tail;
    private int _headStart;
    private int _tailEnd = BufferPool.BlockSize;

    /// <summary>Bytes queued.</summary>
    internal int Length { get; private set; }

    /// <summary>The next bytes to send, as many as are contiguous.</summary>
    internal ReadOnlySpan<byte> Head
    {
        get
        {
            if (Length == 0)
            {
                return default;
            }

            int end = _blocks.Count == 1 ? _tailEnd : BufferPool.BlockSize;
            return _blocks.Peek().Memory[_headStart..end];
        }
    }

    /// <summary>Copies the data, so the caller may use its memory again (pitfall 7).</summary>
    /// <exception cref="OutOfMemoryException">Part of the bytes is in the queue. Only <see cref="Clear"/> may follow.</exception>
    internal void Append(ReadOnlySpan<byte> data)
    {
        Length += data.Length;
        while (!data.IsEmpty)
        {
            if (_tailEnd == BufferPool.BlockSize)
            {
                _blocks.EnsureCapacity(_blocks.Count + 1);
                _tail = pool.Rent();
                _blocks.Enqueue(_tail);
                _tailEnd = 0;
            }

            int n = Math.Min(data.Length, BufferPool.BlockSize - _tailEnd);
            data[..n].CopyTo(_tail.Memory[_tailEnd..]);
            _tailEnd += n;
            data = data[n..];
        }
    }

    /// <summary>Drops the first bytes, because they were sent. The count is at most the head's length.</summary>
    internal void Advance(int count)
    {
        Length -= count;
        _headStart += count;
        if (_headStart == BufferPool.BlockSize || Length == 0)
        {
            pool.Return(_blocks.Dequeue());
            _headStart = 0;
            if (Length == 0)
            {
                _tail = default;
                _tailEnd = BufferPool.BlockSize;
            }
        }
    }

    /// <summary>Moves all bytes out of the pool's blocks, for a connection that leaves its worker.</summary>
    internal void MoveTo(byte[] bytes)
    {
        for (int n = 0; n < bytes.Length;)
        {
            ReadOnlySpan<byte> head = Head;
            head.CopyTo(bytes.AsSpan(n));
            n += head.Length;
            Advance(head.Length);
        }
    }

    /// <summary>Drops everything.</summary>
    internal void Clear()
    {
        while (_blocks.TryDequeue(out BufferPool.Block block))
        {
            pool.Return(block);
        }

        _tail = default;
        _headStart = Length = 0;
        _tailEnd = BufferPool.BlockSize;
    }
}
