using System.Text;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Appends the records of a log to a file, on a thread of its own: whoever logs never waits for a disk, and what does not fit into the
/// queue is counted and said when writing goes on. The file is opened anew when it was moved away or removed, as logrotate does it.
/// It is appended to in whole lines (O_APPEND), so that several servers, of several processes too, may share one.
/// </summary>
internal sealed unsafe class LogFile
{
    /// <summary>Records that wait for the disk; more are dropped.</summary>
    internal const int Capacity = 4096;

    // What the end of a server waits for the last lines.
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromMilliseconds(200);

    private const int CheckInterval = 1000;
    private const int ChunkLength = 64 * 1024;

    private readonly string _path;
    private readonly string _server;
    private readonly Action<string> _onError;
    private readonly EngineThread _thread;

    // A plain object: it is waited on.
    private readonly object _gate = new();
    private Queue<EventRecord> _queue = new();
    private long _dropped;
    private bool _ending;
    private bool _started;

    // From here on the thread's own.
    private readonly StringBuilder _text = new();
    private readonly List<int> _ends = [];
    private Queue<EventRecord> _batch = new();
    private Descriptor _file;
    private FileIdentity _identity;
    private long _nextCheckAt;
    private bool _torn;
    private bool _writeFails;
    private bool _openFails;

    /// <param name="path">The file; made where there is none.</param>
    /// <param name="server">The server's name, for the thread's and for the lines of the file's own.</param>
    /// <param name="onError">Told once when writing begins to fail, on the file's thread.</param>
    /// <exception cref="EngineException">It cannot be opened.</exception>
    internal LogFile(string path, string server, Action<string> onError)
    {
        _path = path;
        _server = server;
        _onError = onError;
        _file = Open(path);
        _identity = FileIdentity.Of(_file.Fd);
        _thread = new EngineThread($"c10k {server} log", Run, OnFailure);
    }

    /// <exception cref="EngineException">The process may have no further thread.</exception>
    internal void Start()
    {
        _thread.Start();
        _started = true;
    }

    /// <summary>From any thread. Never waits.</summary>
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

    /// <summary>Writes what is queued and closes the file. A disk that takes longer than 200 ms is left to the thread.</summary>
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
        // A file that is as large as the process may make one (RLIMIT_FSIZE, ulimit -f) is a write that fails with EFBIG then. The signal, which
        // comes to the thread that writes, would end the shell; here it waits until the thread has ended, and is dropped.
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

    // Out of memory, say. The server goes on without its file.
    private void OnFailure(Exception exception) => _onError($"The log {_path} has ended: {ExceptionText.Message(exception)}");

    /// <summary>Waits for records. False at the end, when all are written.</summary>
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

    /// <param name="dropped">Records that are lost already: that found no room in the queue, or in an earlier try.</param>
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

        // Said when it is written again; at the end nobody will.
        lock (_gate)
        {
            _dropped += _ending ? 0 : lost + dropped;
        }
    }

    /// <summary>Only after a failure to write, or a queue that was full, and true once it has been said.</summary>
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

    /// <summary>Writes the lines made so far, and returns how many records did not get there whole.</summary>
    private int Flush()
    {
        if (_ends.Count == 0)
        {
            return 0;
        }

        // The rest of a line that found no room is a line of its own.
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
                    // Nothing written and no error: see write(2), it says no more than that there is no room.
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
            // Nothing written leaves it as it was.
            _torn = written == 0 ? _torn : bytes[written - 1] != '\n';
            int whole = Encoding.UTF8.GetCharCount(bytes, 0, written) - extra;
            lost = _ends.Count(end => end > whole);
            Tell(ref _writeFails, errno);
        }

        _text.Clear();
        _ends.Clear();
        return lost;
    }

    /// <summary>Whether the path still leads to our file is looked up once a second at most, and only where there is something to write.</summary>
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
            // The one that was moved away is still written to.
            Tell(ref _openFails, e.Errno);
        }
    }

    /// <summary>Once, until it has gone well again.</summary>
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
        // open(2); the values are those of x86-64, arm64 and riscv64.
        const int WriteOnly = 1;
        const int Create = 0x40;
        const int NoTerminal = 0x100;
        const int Append = 0x400;
        const int Cloexec = 0x80000;

        // A pipe without a reader is an error then, and not a wait without end.
        const int Nonblock = 0x800;
        // 0640: a log tells who connected, and a handler's exceptions may hold what clients have sent.
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
