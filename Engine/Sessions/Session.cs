using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// A connection as handler threads see it, for handlers that may block or are slow. The worker puts messages in, a
/// <see cref="SessionConsumer"/> takes them out one at a time and in order, and output goes back to the worker. The session is made with
/// the connection's first message.
/// <para>
/// Threads: public members may be called from any thread. The descriptor belongs to its worker, and no member touches it. The fields of
/// arrival belong to the worker's thread, the lock of the <see cref="SessionScheduler"/> guards the fields of the chain, and the session's
/// own lock guards the fields of output.
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

    /// <summary>The connection's id, which is unique in the process and never reused.</summary>
    public long Id => Connection.Id;

    /// <summary>The peer's address.</summary>
    public EndPoint RemoteEndPoint { get; }

    /// <summary>When the connection was accepted.</summary>
    public DateTimeOffset StartTime => Connection.StartTime;

    /// <summary>The connection's state; a snapshot.</summary>
    public ConnectionState State => Connection.State;

    /// <summary>Why closing has begun, or <see cref="CloseReason.None"/>; a snapshot.</summary>
    public CloseReason CloseReason => Connection.CloseReason;

    /// <summary>Bytes received; a snapshot.</summary>
    public long BytesReceived => Connection.BytesReceived;

    /// <summary>Bytes sent; a snapshot.</summary>
    public long BytesSent => Connection.BytesSent;

    /// <summary>Messages received; a snapshot.</summary>
    public long MessagesReceived => Connection.MessagesReceived;

    /// <summary>Bytes that wait to be sent; a snapshot.</summary>
    public long SendQueue => Pending + Connection.SendQueue;

    /// <summary>A slot for the handler's own state. Rows of the connection show it, even after the connection has ended.</summary>
    public object? Tag
    {
        get => Volatile.Read(ref _tag);
        set
        {
            // The worker writes the state and then reads the Tag. This thread writes the Tag and then reads the state. The full fence between the
            // two makes sure that at least one thread sees what the other wrote.
            Interlocked.Exchange(ref _tag, value);
            if (State == ConnectionState.Closed)
            {
                Connection.Worker.Server.ClosedConnections.SetTag(Id, KeptTag.Cut(value));
            }
        }
    }

    /// <summary>An object that the scheduler's owner keeps for this session. The engine does not look at it.</summary>
    public object? Owner { get; set; }

    /// <summary>State of the <see cref="MessageDecoder"/>, which alone uses it.</summary>
    public object? DecoderState { get; set; }

    internal Connection Connection { get; }

    internal SessionScheduler Scheduler { get; }

    // The messages that have arrived in the worker's present turn. Only the worker's thread uses these three.
    internal SessionMessage? ArrivedFirst { get; set; }

    internal SessionMessage? ArrivedLast { get; set; }

    internal int ArrivedWeight { get; set; }

    // The messages that wait for a consumer, and whether the session is in line for a consumer or with one. The scheduler's lock guards these.
    internal SessionMessage? ChainFirst { get; set; }

    internal SessionMessage? ChainLast { get; set; }

    internal bool Scheduled { get; set; }

    /// <summary>The next session in line, while this session waits for a consumer. Guarded by the scheduler's lock.</summary>
    internal Session? NextReady { get; set; }

    /// <summary>
    /// The session has messages, or may get some, and no consumer takes them before its output has drained. Written under the scheduler's
    /// lock; the worker's thread reads it without the lock.
    /// </summary>
    internal bool IsParked
    {
        get => _parked;
        set => _parked = value;
    }

    /// <summary>When the session was scheduled, in milliseconds on the engine's clock.</summary>
    internal long ScheduledAt { get; set; }

    /// <summary>The publisher of the worker that waits for this session while it is scheduled.</summary>
    internal SessionPublisher? Gate { get; set; }

    /// <summary>
    /// Reading is paused until consumers have made room. The worker sets it before it publishes; it is cleared under the scheduler's lock.
    /// </summary>
    internal bool WantsRoom { get; set; }

    /// <summary>The handler has closed the session. Later messages are dropped.</summary>
    internal bool IsDeaf => _deaf;

    /// <summary>The weight of the messages that were published and are not done, in bytes. From any thread.</summary>
    internal int Outstanding => Volatile.Read(ref _outstanding);

    /// <summary>
    /// Whether a message is with the handler threads, or an answer is on its way back to the worker. From any thread. The two reads cannot miss
    /// an answer between them, because an answer is posted before its message counts as done.
    /// </summary>
    internal bool IsBusy => Outstanding > 0 || Volatile.Read(ref _posted);

    /// <summary>Closes the connection in order, after the output so far. Further messages of the peer are dropped.</summary>
    public void Close() => Wish(SessionSignal.Close);

    /// <summary>Resets the connection. Queued output is dropped.</summary>
    public void Abort() => Wish(SessionSignal.Abort);

    /// <summary>The handler has failed: counts and logs that, and closes the connection with <see cref="CloseReason.HandlerError"/>.</summary>
    public void Fail(Exception exception)
    {
        Scheduler.CountError();
        Connection.Worker.Server.OnHandlerError(Connection, exception);
        Wish(SessionSignal.Fail);
    }

    /// <summary>The handler has met an error and goes on: counts and logs that.</summary>
    public void Report(Exception exception)
    {
        Scheduler.CountError();
        Connection.Worker.Server.OnHandlerErrorReported(Connection, exception);
    }

    /// <summary>Adds a message of the handler to the server's log.</summary>
    public void Log(EventLevel level, string message)
    {
        Server server = Connection.Worker.Server;
        server.Log.HandlerSaid((Microsoft.Extensions.Logging.LogLevel)level, server.Options.Name, Id, message);
    }

    /// <summary>The handler has taken too long: counts that, and closes the connection with <see cref="CloseReason.HandlerTimeout"/>.</summary>
    public void TimeOut(TimeSpan after)
    {
        Scheduler.CountTimeout();
        Connection.Worker.Server.OnHandlerTimeout(Connection, after);
        Wish(SessionSignal.TimeOut);
    }

    /// <summary>From a consumer that has made room: tells the worker to read again.</summary>
    internal void Resume() => Wish(SessionSignal.Resume);

    /// <summary>The caller holds the scheduler's lock.</summary>
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
            // A handler that waits for room in the queue must wait no longer, because nothing more will be sent.
            Volatile.Read(ref _waiter)?.Release();
        }

        if (!isPosted)
        {
            Post(atOnce: false);
        }
    }

    /// <summary>
    /// Tells the worker. While a consumer handles a message of this session, the wake-up may be put off for a moment, so that one wake-up
    /// serves several answers. The worker does not depend on it, because it looks into its mailbox by itself while it is owed an answer.
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

/// <summary>What a handler thread asks of a connection's worker, besides sending.</summary>
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
