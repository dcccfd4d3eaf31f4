using System.Buffers;
using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// A connection as handler threads have it, for handlers that may block or are slow: the worker puts in what happens, a
/// <see cref="SessionConsumer"/> takes it out, one at a time and in order, and what is sent goes back to the worker. Made with the first
/// that happens.
/// <para>
/// Threads: public members may be called from any. The descriptor is its worker's: nothing here touches it. Of the fields, those of
/// arrival belong to the worker's thread, those of the chain to the lock of the <see cref="SessionScheduler"/>, those of output to the
/// session's own.
/// </para>
/// </summary>
public sealed class Session
{
    // The least that is rented for output: an answer or two.
    private const int LeastOutput = 256;

    // So much does not wait for a saved wake-up: it would grow towards the bound while the worker sleeps.
    private const int MuchOutput = 32 * 1024;

    private readonly Lock _outputLock = new();
    private byte[]? _output;
    private int _outputLength;
    private SessionWish _wishes;
    private bool _posted;
    private bool _over;
    private int _outstanding;
    private volatile bool _deaf;
    private object? _tag;

    internal Session(Connection connection, SessionScheduler scheduler)
    {
        Connection = connection;
        Scheduler = scheduler;
        RemoteEndPoint = connection.RemoteEndPoint;
    }

    /// <summary>Unique in the process, and never used again.</summary>
    public long Id => Connection.Id;

    /// <summary>The peer's address.</summary>
    public EndPoint RemoteEndPoint { get; }

    /// <summary>When it was accepted.</summary>
    public DateTimeOffset StartTime => Connection.StartTime;

    /// <summary>Where the connection is in its life; a look.</summary>
    public ConnectionState State => Connection.State;

    /// <summary>Why closing has begun, or <see cref="CloseReason.None"/>; a look.</summary>
    public CloseReason CloseReason => Connection.CloseReason;

    /// <summary>Bytes received; a look.</summary>
    public long BytesReceived => Connection.BytesReceived;

    /// <summary>Bytes sent; a look.</summary>
    public long BytesSent => Connection.BytesSent;

    /// <summary>Messages received; a look.</summary>
    public long MessagesReceived => Connection.MessagesReceived;

    /// <summary>Bytes that wait to be sent; a look.</summary>
    public long SendQueue => Connection.SendQueue + Volatile.Read(ref _outputLength);

    /// <summary>A slot for the handler's own state. Rows of the connection show it, also when the connection is over.</summary>
    public object? Tag
    {
        get => Volatile.Read(ref _tag);
        set
        {
            // The worker sets the state and then reads the Tag, here it is the other way round: one of the two sees what the other wrote.
            Interlocked.Exchange(ref _tag, value);
            if (State == ConnectionState.Closed)
            {
                Connection.Worker.Server.ClosedConnections.SetTag(Id, KeptTag.Cut(value));
            }
        }
    }

    /// <summary>For whoever owns the scheduler: an object of its own for this session. The engine does not look at it.</summary>
    public object? Owner { get; set; }

    /// <summary>For the <see cref="MessageDecoder"/> alone.</summary>
    public object? DecoderState { get; set; }

    internal Connection Connection { get; }

    internal SessionScheduler Scheduler { get; }

    // What has arrived in this turn of the worker's. The worker's thread's.
    internal SessionMessage? ArrivedFirst { get; set; }

    internal SessionMessage? ArrivedLast { get; set; }

    internal int ArrivedWeight { get; set; }

    // What waits for a consumer, and whether one has it or will. The scheduler's lock's.
    internal SessionMessage? ChainFirst { get; set; }

    internal SessionMessage? ChainLast { get; set; }

    internal bool Scheduled { get; set; }

    /// <summary>When it was scheduled; milliseconds on the engine's clock.</summary>
    internal long ScheduledAt { get; set; }

    /// <summary>Whose worker waits for it while it is scheduled.</summary>
    internal SessionGate? Gate { get; set; }

    /// <summary>Reading is paused until consumers have made room. Set by the worker before it publishes, cleared under the scheduler's lock.</summary>
    internal bool WantsRoom { get; set; }

    /// <summary>The handler has closed: messages that come after that are dropped.</summary>
    internal bool IsDeaf => _deaf;

    /// <summary>The weight of what has been handed over and is not done with. From any thread.</summary>
    internal int Outstanding => Volatile.Read(ref _outstanding);

    /// <summary>
    /// Whether a message is with the handler threads, or an answer on its way back to the worker. From any thread: an answer is posted before
    /// its message counts as done.
    /// </summary>
    internal bool IsBusy => Outstanding > 0 || Volatile.Read(ref _posted);

    /// <summary>
    /// Sends: copied here, and given to the worker. False when the connection is closing or closed, or when so much is queued that this
    /// resets it (<see cref="CloseReason.SendQueueFull"/>).
    /// </summary>
    public bool Send(ReadOnlySpan<byte> data)
    {
        bool fits;
        bool isMuch;
        bool isPosted;
        lock (_outputLock)
        {
            if (_over || (_wishes & SessionWish.Ends) != 0 || State is ConnectionState.Closing or ConnectionState.Closed)
            {
                return false;
            }

            if (data.IsEmpty)
            {
                return true;
            }

            int before = _outputLength;
            fits = _outputLength <= Connection.Worker.Options.MaxSendQueue - data.Length;
            if (fits)
            {
                Append(data);
            }
            else
            {
                _wishes |= SessionWish.Overflow;
            }

            isMuch = before <= MuchOutput && _outputLength > MuchOutput;
            isPosted = _posted;
            _posted = true;
        }

        if (!isPosted)
        {
            Post(atOnce: isMuch);
        }
        else if (isMuch)
        {
            Connection.Worker.Wake();
        }

        return fits;
    }

    /// <summary>Closes in order, after what was sent. Further messages of the peer are dropped.</summary>
    public void Close() => Wish(SessionWish.Close);

    /// <summary>Resets. What is queued is dropped.</summary>
    public void Abort() => Wish(SessionWish.Abort);

    /// <summary>The handler has failed: counted and logged, and the connection is closed with <see cref="CloseReason.HandlerError"/>.</summary>
    public void Fail(Exception exception)
    {
        Scheduler.CountError();
        Connection.Worker.Server.OnHandlerError(Connection, exception);
        Wish(SessionWish.Fail);
    }

    /// <summary>The handler has met an error and goes on: counted and logged.</summary>
    public void Report(Exception exception)
    {
        Scheduler.CountError();
        Connection.Worker.Server.OnHandlerErrorReported(Connection, exception);
    }

    /// <summary>Adds to the server's log what the handler has to say.</summary>
    public void Log(EventLevel level, string message)
    {
        Server server = Connection.Worker.Server;
        server.Log.HandlerSaid((Microsoft.Extensions.Logging.LogLevel)level, server.Options.Name, Id, message);
    }

    /// <summary>The handler has taken too long: counted, and the connection is closed with <see cref="CloseReason.HandlerTimeout"/>.</summary>
    public void TimeOut(TimeSpan after)
    {
        Scheduler.CountTimeout();
        Connection.Worker.Server.OnHandlerTimeout(Connection, after);
        Wish(SessionWish.TimeOut);
    }

    /// <summary>Room has been made: the worker reads again. From a consumer.</summary>
    internal void Resume() => Wish(SessionWish.Resume);

    /// <summary>From the worker's thread: what handlers have sent and wished since it last asked. The array goes back to the shared pool.</summary>
    internal SessionWish TakeOutput(out byte[]? output, out int length)
    {
        lock (_outputLock)
        {
            (output, length) = (_output, _outputLength);
            SessionWish wishes = _wishes;

            // What ends it stays: nothing is to be sent after that.
            _wishes &= SessionWish.Ends;
            _output = null;
            _outputLength = 0;
            _posted = false;
            return wishes;
        }
    }

    /// <summary>From the worker's thread: the connection is over.</summary>
    internal void OnClosed()
    {
        TakeOutput(out byte[]? output, out _);
        if (output is not null)
        {
            ArrayPool<byte>.Shared.Return(output);
        }

        lock (_outputLock)
        {
            _over = true;
        }
    }

    /// <summary>Under the scheduler's lock.</summary>
    internal void AddOutstanding(int weight) => Volatile.Write(ref _outstanding, _outstanding + weight);

    private void Append(ReadOnlySpan<byte> data)
    {
        int needed = _outputLength + data.Length;
        if (_output is null)
        {
            _output = ArrayPool<byte>.Shared.Rent(Math.Max(needed, LeastOutput));
        }
        else if (_output.Length < needed)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, _output.Length * 2));
            _output.AsSpan(0, _outputLength).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_output);
            _output = larger;
        }

        data.CopyTo(_output.AsSpan(_outputLength));
        Volatile.Write(ref _outputLength, needed);
    }

    private void Wish(SessionWish wish)
    {
        if ((wish & SessionWish.Ends) != 0)
        {
            _deaf = true;
        }

        lock (_outputLock)
        {
            _wishes |= wish;
            if (_posted || _over)
            {
                return;
            }

            _posted = true;
        }

        Post(atOnce: false);
    }

    /// <summary>
    /// Tells the worker. Within the session's own turn of a consumer the wake-up may wait for a moment, so that one serves several: the worker
    /// looks by itself while it is owed something.
    /// </summary>
    private void Post(bool atOnce)
    {
        Worker worker = Connection.Worker;
        var command = new Command(CommandKind.Deliver, Subject: this);
        if (!atOnce && SessionConsumer.Current is { } consumer && consumer.Session == this && Gate == worker.Gate)
        {
            if (worker.Post(command, wake: false))
            {
                consumer.WakeLater(worker);
            }
        }
        else
        {
            worker.Post(command);
        }
    }
}

/// <summary>What a handler thread wants of a connection's worker, beside sending.</summary>
[Flags]
internal enum SessionWish
{
    None = 0,
    Resume = 1,
    Close = 2,
    Abort = 4,
    Fail = 8,
    TimeOut = 16,

    /// <summary>More was sent than a connection may queue.</summary>
    Overflow = 32,

    Ends = Close | Abort | Fail | TimeOut | Overflow,
}
