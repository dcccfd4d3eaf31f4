using System.Text;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Appends the records of a log to a file, on a thread of its own, so that a thread that logs never waits for a disk. A record that does not
/// fit into the queue is counted, and a line reports the count when writing goes on. The file is opened again when it was moved away or
/// removed, as logrotate does. Whole lines are appended (O_APPEND), so that several servers may share a file, even from several processes.
/// </summary>
internal sealed unsafe class LogFile
{
    /// <summary>The most records that wait for the disk. Further records are dropped.</summary>
    internal const int Capacity = 4096;

    // How long a server's end waits until the last lines are written.
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromMilliseconds(200);

    private const int CheckInterval = 1000;
    private const int ChunkLength = 64 * 1024;

    private readonly string _path;
    private readonly string _server;
    private readonly Action<string> _onError;
    private readonly EngineThread _thread;

    // A plain object and not a Lock, because threads wait on it.
    private readonly object _gate = new();
    private Queue<EventRecord> _queue = new();
    private long _dropped;
    private bool _ending;
    private bool _started;

    // Only the file's thread uses the fields from here on.
    private readonly StringBuilder _text = new();
    private readonly List<int> _ends = [];
    private Queue<EventRecord> _batch = new();
    private Descriptor _file;
    private FileIdentity _identity;
    private long _nextCheckAt;
    private bool _torn;
    private bool _writeFails;
    private bool _openFails;

    /// <param name="path">The file; it is created if it does not exist.</param>
    /// <param name="server">The server's name, for the name of the thread and for lines that the file adds itself.</param>
    /// <param name="onError">Called once when writing begins to fail, on the file's thread.</param>
    /// <exception cref="EngineException">The file cannot be opened.</exception>
    internal LogFile(string path, string server, Action<string> onError)
    {
        _path = path;
        _server = server;
        _onError = onError;
        _file = Open(path);
        _identity = FileIdentity.Of(_file.Fd);
        _thread = new EngineThread($"c10k {server} log", Run, OnFailure);
    }

    /// <exception cref="EngineException">The process is not allowed to start another thread.</exception>
    internal void Start()
    {
        _thread.Start();
        _started = true;
    }

    /// <summary>Queues a record. From any thread. Never waits for the disk.</summary>
    internal void Add(EventRecord record)
    {
        lock (_gate)
        {
            if (_queue.Count < Capacity)
            {
                _queue.Enqueue(record);
                Monitor.Pulse(_gate);
            }
            else
            {
                _dropped++;
            }
        }
    }

    /// <summary>
    /// Writes the queued records and closes the file. If the disk takes longer than 200 ms, the call returns and the thread finishes alone.
    /// </summary>
    internal void End()
    {
        lock (_gate)
        {
            _ending = true;
            Monitor.Pulse(_gate);
        }

        if (_started)
        {
            _thread.Join(FlushTimeout);
        }
        else
        {
            _file.Dispose();
        }
    }

    private void Run()
    {
        // When the file reaches the largest size that the process may write (RLIMIT_FSIZE, ulimit -f), the kernel sends the writing thread a
        // signal, which would end the shell. The thread blocks the signal: then the write only fails with EFBIG, and the signal stays pending
        // until the thread ends and is dropped with it.
        Signals.Block(Signals.FileSizeExceeded);
        try
        {
            while (Take(out long dropped))
            {
                Write(dropped);
            }
        }
        finally
        {
            _file.Dispose();
        }
    }

    // The thread failed, for instance because memory ran out. The server goes on without its file.
    private void OnFailure(Exception exception) => _onError($"The log {_path} has ended: {ExceptionText.Message(exception)}");

    /// <summary>Waits for records. False at the end, when all records are written.</summary>
    private bool Take(out long dropped)
    {
        lock (_gate)
        {
            while (_queue.Count == 0 && !_ending)
            {
                Monitor.Wait(_gate);
            }

            (_queue, _batch) = (_batch, _queue);
            dropped = _dropped;
            _dropped = 0;
            return _batch.Count > 0 || dropped > 0;
        }
    }

    /// <param name="dropped">How many records are lost already, because the queue was full or an earlier write failed.</param>
    private void Write(long dropped)
    {
        Reopen();
        long lost = 0;
        while (_batch.TryDequeue(out EventRecord? record))
        {
            Append(record);
            if (_text.Length >= ChunkLength)
            {
                lost += Flush();
            }
        }

        lost += Flush();
        if (lost + dropped == 0 || TellDropped(lost + dropped))
        {
            return;
        }

        // Counted, so that a line reports it when writing works again. At the end no line will.
        lock (_gate)
        {
            _dropped += _ending ? 0 : lost + dropped;
        }
    }

    /// <summary>
    /// Writes a line that reports dropped records. Called only after a write failed or the queue was full. True when the line was written.
    /// </summary>
    private bool TellDropped(long count)
    {
        Append(new EventRecord(
            0, DateTimeOffset.Now, EventLevel.Warning, LogMessages.LogRecordsDroppedId, "LogRecordsDropped",
            $"{_server}: {count} records before this line were dropped: the disk was full, or too slow.", null, null));
        return Flush() == 0;
    }

    private void Append(EventRecord record)
    {
        LogLine.Append(_text, record);
        _ends.Add(_text.Length);
    }

    /// <summary>Writes the lines made so far, and returns how many records were not written whole.</summary>
    private int Flush()
    {
        if (_ends.Count == 0)
        {
            return 0;
        }

        // A line end first, so that the torn line of an earlier failure stays a line of its own.
        string text = _torn ? "\n" + _text : _text.ToString();
        int extra = _torn ? 1 : 0;
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int written = 0;
        int errno = 0;
        fixed (byte* p = bytes)
        {
            while (written < bytes.Length && errno == 0)
            {
                nint n = Libc.Write(_file, p + written, (nuint)(bytes.Length - written));
                if (n > 0)
                {
                    written += (int)n;
                }
                else
                {
                    // The call wrote nothing and reported no error. That counts as a lack of room, because write(2) says no more about it.
                    int failed = n == 0 ? Errno.ENOSPC : Errno.Last;
                    errno = failed == Errno.EINTR ? 0 : failed;
                }
            }
        }

        int lost = 0;
        if (errno == 0)
        {
            _torn = _writeFails = false;
        }
        else
        {
            // If no byte was written, the end of the file is as it was.
            _torn = written == 0 ? _torn : bytes[written - 1] != '\n';
            int whole = Encoding.UTF8.GetCharCount(bytes, 0, written) - extra;
            lost = _ends.Count(end => end > whole);
            Tell(ref _writeFails, errno);
        }

        _text.Clear();
        _ends.Clear();
        return lost;
    }

    /// <summary>
    /// Opens the file again if the path leads to another file now. The path is checked once a second at most, and only before a write.
    /// </summary>
    private void Reopen()
    {
        long now = Clock.Now;
        if (now < _nextCheckAt)
        {
            return;
        }

        _nextCheckAt = now + CheckInterval;
        if (FileIdentity.Of(_path, follow: true) == _identity)
        {
            return;
        }

        try
        {
            Descriptor file = Open(_path);
            _file.Dispose();
            _file = file;
            _identity = FileIdentity.Of(file.Fd);
            _torn = _openFails = false;
        }
        catch (EngineException e)
        {
            // Writing to the old file, which was moved away, goes on.
            Tell(ref _openFails, e.Errno);
        }
    }

    /// <summary>Reports a failure once. It is reported again only after writing has worked in between.</summary>
    private void Tell(ref bool told, int errno)
    {
        if (!told)
        {
            told = true;
            _onError($"Writing the log {_path} fails: {Errno.Describe(errno)}");
        }
    }

    private static Descriptor Open(string path)
    {
        // The flags of open(2). The values are the same on x86-64, arm64 and riscv64.
        const int WriteOnly = 1;
        const int Create = 0x40;
        const int NoTerminal = 0x100;
        const int Append = 0x400;
        const int Cloexec = 0x80000;

        // With this flag, opening a pipe without a reader fails. Without the flag it would wait without end.
        const int Nonblock = 0x800;
        // 0640, because a log contains the clients' addresses, and a handler's exceptions may contain what clients have sent.
        const uint UserAndGroup = 0x1A0;

        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            int fd;
            do
            {
                fd = Libc.Open(p, WriteOnly | Create | NoTerminal | Append | Cloexec | Nonblock, UserAndGroup);
            }
            while (fd < 0 && Errno.Last == Errno.EINTR);

            return fd >= 0 ? new Descriptor(fd) : throw new EngineException($"open {path}", Errno.Last);
        }
    }
}
