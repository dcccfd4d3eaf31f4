using System.Buffers;

namespace C10kServer.Engine;

/// <summary>
/// A read request's end. <paramref name="data"/> is valid during the call, and empty unless <paramref name="reason"/> is
/// <see cref="CloseReason.None"/>; otherwise the reason tells why the bytes will not come.
/// </summary>
public delegate void ReadCallback(Connection connection, ReadOnlySpan<byte> data, CloseReason reason);

/// <summary>
/// A write request's end: <see cref="CloseReason.None"/> when the socket has taken all its bytes, else why it will not.
/// </summary>
public delegate void WriteCallback(Connection connection, CloseReason reason);

/// <summary>
/// A connection's queued reads and writes. Each completes exactly once, with its bytes or with a reason, and leaves its queue
/// before its callback runs. Made with the first request; belongs to the worker's thread.
/// </summary>
internal sealed class Requests
{
    private readonly Queue<Read> _reads = new();
    private readonly Queue<Write> _writes = new();

    // Bytes that wait for a read request. Rented when bytes come, given back when all are consumed: an idle connection
    // owns no buffer.
    private byte[]? _input;
    private int _start;
    private int _end;

    // How far the delimiter of the first request has been looked for: a peer that sends byte by byte must not cost a
    // search over all it has sent with each.
    private int _scanned;

    // The last one that was asked for: most protocols ask for the same one with every message, and a copy each time would be an
    // allocation a message (pitfall 43).
    private byte[] _delimiter = [];

    /// <summary>Bytes received that no request has taken yet.</summary>
    internal int Buffered => _end - _start;

    /// <summary>When the first of the buffered bytes came, or the last message ended; milliseconds on the engine's clock.</summary>
    internal long MessageBegan { get; private set; }

    internal bool HasReads => _reads.Count > 0;

    internal void AddRead(int count, ReadCallback callback) => _reads.Enqueue(new Read(count, null, callback));

    internal void AddReadUntil(ReadOnlySpan<byte> delimiter, int maximum, ReadCallback callback)
    {
        if (!delimiter.SequenceEqual(_delimiter))
        {
            _delimiter = delimiter.ToArray();
        }

        _reads.Enqueue(new Read(maximum, _delimiter, callback));
    }

    /// <param name="end">The count of the connection's written bytes at which this request's last one has been sent.</param>
    /// <param name="callback">What to call then.</param>
    internal void AddWrite(long end, WriteCallback callback) => _writes.Enqueue(new Write(end, callback));

    /// <summary>Takes the first write request whose bytes are all among the <paramref name="sent"/> ones.</summary>
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

    /// <summary>Takes the first write request, sent or not.</summary>
    internal bool TryTakeWrite(out WriteCallback? callback)
    {
        bool taken = _writes.TryDequeue(out Write write);
        callback = write.Callback;
        return taken;
    }

    /// <summary>Takes the first read request, satisfied or not.</summary>
    internal bool TryTakeRead(out ReadCallback? callback)
    {
        bool taken = _reads.TryDequeue(out Read read);
        callback = read.Callback;
        _scanned = 0;
        return taken;
    }

    /// <summary>
    /// Looks whether the first read request can be served. Where it can, it is taken, with its bytes, which stay where they are until
    /// <see cref="Release"/>.
    /// </summary>
    internal ReadOutcome TryTakeRead(long now, out ReadCallback? callback, out ReadOnlySpan<byte> data)
    {
        callback = null;
        data = default;
        if (!_reads.TryPeek(out Read read))
        {
            return ReadOutcome.Waiting;
        }

        ReadOnlySpan<byte> buffered = _input.AsSpan(_start, Buffered);
        if (read.Delimiter is null)
        {
            if (buffered.Length < read.Count)
            {
                return ReadOutcome.Waiting;
            }

            data = buffered[..read.Count];
            _start += read.Count;
        }
        else
        {
            int from = Math.Max(0, _scanned - (read.Delimiter.Length - 1));
            int found = buffered[from..].IndexOf(read.Delimiter);
            if (found < 0)
            {
                _scanned = buffered.Length;
                return buffered.Length >= read.Count + read.Delimiter.Length ? ReadOutcome.TooLong : ReadOutcome.Waiting;
            }

            if (from + found > read.Count)
            {
                return ReadOutcome.TooLong;
            }

            data = buffered[..(from + found)];
            _start += from + found + read.Delimiter.Length;
        }

        _reads.Dequeue();
        _scanned = 0;
        MessageBegan = now;
        callback = read.Callback;
        return ReadOutcome.Served;
    }

    /// <summary>Keeps bytes for the requests. What is kept grows with what arrives, never with what a peer claims (pitfall 27).</summary>
    internal void Keep(ReadOnlySpan<byte> data, long now)
    {
        if (Buffered == 0)
        {
            MessageBegan = now;
        }

        if (_input is null)
        {
            _input = ArrayPool<byte>.Shared.Rent(data.Length);
        }
        else if (_input.Length - _end < data.Length)
        {
            byte[] larger = Buffered + data.Length <= _input.Length ? _input : ArrayPool<byte>.Shared.Rent(Math.Max(Buffered + data.Length, _input.Length * 2));
            _input.AsSpan(_start, Buffered).CopyTo(larger);
            if (larger != _input)
            {
                ArrayPool<byte>.Shared.Return(_input);
                _input = larger;
            }

            (_start, _end) = (0, Buffered);
        }

        data.CopyTo(_input.AsSpan(_end));
        _end += data.Length;
    }

    /// <summary>Gives the buffer back when nothing is in it. Not while a callback reads from it.</summary>
    internal void Release()
    {
        if (_input is not null && _start == _end)
        {
            Discard();
        }
    }

    /// <summary>Drops what is buffered. Not while a callback reads from it.</summary>
    internal void Discard()
    {
        if (_input is not null)
        {
            ArrayPool<byte>.Shared.Return(_input);
            _input = null;
            _start = _end = _scanned = 0;
        }
    }

    // Count is the number of bytes to read, or, with a delimiter, the most that may stand before it.
    private readonly record struct Read(int Count, byte[]? Delimiter, ReadCallback Callback);

    private readonly record struct Write(long End, WriteCallback Callback);
}

/// <summary>What became of the first read request.</summary>
internal enum ReadOutcome
{
    /// <summary>There is none, or its bytes are not all there.</summary>
    Waiting,

    /// <summary>It has been taken, with its bytes.</summary>
    Served,

    /// <summary>More bytes came than it allows before the delimiter.</summary>
    TooLong,
}
