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
public sealed partial class Session
{
    private int _outstanding;
    private volatile bool _deaf;
    private object? _tag;
    private volatile bool _parked;

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
    public long SendQueue => Pending + Connection.SendQueue;

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

    /// <summary>The one behind it while it waits for a consumer. The scheduler's lock's.</summary>
    internal Session? NextReady { get; set; }

    /// <summary>
    /// The session has messages, or may get some, and no consumer takes them before its output has drained. Written under the scheduler's
    /// lock; the worker's thread looks at it without.
    /// </summary>
    internal bool IsParked
    {
        get => _parked;
        set => _parked = value;
    }

    /// <summary>When it was scheduled; milliseconds on the engine's clock.</summary>
    internal long ScheduledAt { get; set; }

    /// <summary>Whose worker waits for it while it is scheduled.</summary>
    internal SessionPublisher? Gate { get; set; }

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

    /// <summary>Closes in order, after what was sent. Further messages of the peer are dropped.</summary>
    public void Close() => Wish(SessionSignal.Close);

    /// <summary>Resets. What is queued is dropped.</summary>
    public void Abort() => Wish(SessionSignal.Abort);

    /// <summary>The handler has failed: counted and logged, and the connection is closed with <see cref="CloseReason.HandlerError"/>.</summary>
    public void Fail(Exception exception)
    {
        Scheduler.CountError();
        Connection.Worker.Server.OnHandlerError(Connection, exception);
        Wish(SessionSignal.Fail);
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
        Wish(SessionSignal.TimeOut);
    }

    /// <summary>Room has been made: the worker reads again. From a consumer.</summary>
    internal void Resume() => Wish(SessionSignal.Resume);

    /// <summary>Under the scheduler's lock.</summary>
    internal void AddOutstanding(int weight) => Volatile.Write(ref _outstanding, _outstanding + weight);

    private void Wish(SessionSignal wish)
    {
        if ((wish & SessionSignal.Ends) != 0)
        {
            _deaf = true;
        }

        bool isPosted;
        lock (_outputLock)
        {
            _wishes |= wish;
            isPosted = _posted || _over;
            _posted = true;
        }

        if ((wish & SessionSignal.Ends) != 0)
        {
            // A handler that waits for room in the queue has nothing to wait for any more.
            Volatile.Read(ref _waiter)?.Release();
        }

        if (!isPosted)
        {
            Post(atOnce: false);
        }
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
internal enum SessionSignal
{
    None = 0,
    Resume = 1,
    Close = 2,
    Abort = 4,
    Fail = 8,
    TimeOut = 16,

    Ends = Close | Abort | Fail | TimeOut,
}
