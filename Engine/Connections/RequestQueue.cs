namespace C10kServer.Engine;

/// <summary>
/// Called at the end of a read request. <paramref name="data"/> is valid during the call, and empty unless <paramref name="reason"/> is
/// <see cref="CloseReason.None"/>. Any other reason tells why the bytes will not come.
/// </summary>
public delegate void ReadCallback(Connection connection, ReadOnlySpan<byte> data, CloseReason reason);

/// <summary>
/// Called at the end of a write request. The reason is <see cref="CloseReason.None"/> when the socket has taken all bytes of the request.
/// Any other reason tells why it will not take them.
/// </summary>
public delegate void WriteCallback(Connection connection, CloseReason reason);

/// <summary>
/// A connection's queued read and write requests. Each request completes exactly once, with its bytes or with a reason, and leaves its
/// queue before its callback runs. The object is made with the first request. Belongs to the worker's thread.
/// </summary>
internal sealed class RequestQueue
{
    private readonly Queue<Read> _reads = new();
    private readonly Queue<Write> _writes = new();

    // The delimiter that was last asked for. Most protocols ask for the same one with every message, and a copy each time would be one
    // allocation per message (pitfall 43).
    private byte[] _delimiter = [];

    internal bool HasReads => _reads.Count > 0;

    /// <summary>The most bytes that the first read request lets come. There must be a read request.</summary>
    internal int FirstMaximum => _reads.Peek().Count;

    internal void AddRead(int count, ReadCallback callback) => _reads.Enqueue(new Read(count, null, callback));

    internal void AddReadUntil(ReadOnlySpan<byte> delimiter, int maximum, ReadCallback callback)
    {
        if (!delimiter.SequenceEqual(_delimiter))
        {
            _delimiter = delimiter.ToArray();
        }

        _reads.Enqueue(new Read(maximum, _delimiter, callback));
    }

    /// <param name="end">The count of the connection's written bytes at which the last byte of this request has been sent.</param>
    /// <param name="callback">The callback to call then.</param>
    internal void AddWrite(long end, WriteCallback callback) => _writes.Enqueue(new Write(end, callback));

    /// <summary>Takes the first write request if all its bytes are among the <paramref name="sent"/> bytes.</summary>
    internal bool TryTakeWritten(long sent, out WriteCallback? callback)
    {
        if (_writes.TryPeek(out Write write) && write.End <= sent)
        {
            _writes.Dequeue();
            callback = write.Callback;
            return true;
        }

        callback = null;
        return false;
    }

    /// <summary>Takes the first write request, whether it was sent or not.</summary>
    internal bool TryTakeWrite(out WriteCallback? callback)
    {
        bool taken = _writes.TryDequeue(out Write write);
        callback = write.Callback;
        return taken;
    }

    /// <summary>Takes the first read request, whether it is satisfied or not.</summary>
    internal bool TryTakeRead(out ReadCallback? callback)
    {
        bool taken = _reads.TryDequeue(out Read read);
        callback = read.Callback;
        return taken;
    }

    /// <summary>
    /// Checks whether the received bytes satisfy the first read request. If they do, the request is taken together with its bytes. The
    /// bytes stay where they are until the buffer is released.
    /// </summary>
    internal FrameResult TryTakeRead(InputBuffer? input, long now, out ReadCallback? callback, out ReadOnlySpan<byte> data)
    {
        callback = null;
        data = default;
        if (!_reads.TryPeek(out Read read))
        {
            return FrameResult.Partial;
        }

        ReadOnlySpan<byte> bytes = input is null ? default : input.Bytes;
        int consumed;
        if (read.Delimiter is null)
        {
            if (bytes.Length < read.Count)
            {
                return FrameResult.Partial;
            }

            data = bytes[..read.Count];
            consumed = read.Count;
        }
        else
        {
            int scanned = input?.Scanned ?? 0;
            FrameResult result = Framing.TryReadUntil(read.Delimiter, bytes, read.Count, ref scanned, out data, out consumed);
            if (result != FrameResult.Complete)
            {
                if (input is not null)
                {
                    input.Scanned = scanned;
                }

                return result;
            }
        }

        _reads.Dequeue();
        input?.Consume(consumed, now);
        callback = read.Callback;
        return FrameResult.Complete;
    }

    // Count is the number of bytes to read. With a delimiter it is the most bytes that may stand before the delimiter.
    private readonly record struct Read(int Count, byte[]? Delimiter, ReadCallback Callback);

    private readonly record struct Write(long End, WriteCallback Callback);
}
