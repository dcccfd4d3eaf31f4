using System.Diagnostics;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>
/// A thread, its epoll, and the connections that it owns.
/// <para>
/// Threads: the worker, its connections, its table and its timers are touched on the loop's thread alone. The door for other
/// threads is <see cref="Post"/>; what else they may call says so. A descriptor in an Adopt command becomes this worker's
/// when the command is taken; from then on <see cref="Reap"/> is the one place that closes it.
/// </para>
/// <para>
/// A turn: wait, dispatch, mailbox, timers, callbacks, sync interest masks, reap; each bounded. Callbacks of requests
/// never nest: they run from the ready list. Closed descriptors are closed at the end, so that no event of the batch can meet
/// a descriptor that was used again (pitfall 1).
/// </para>
/// </summary>
internal sealed unsafe class Worker : IDisposable
{
    /// <summary>Bytes that one recv takes at most; one buffer serves all connections of the worker.</summary>
    internal const int ScratchSize = 64 * 1024;

    // A batch of events; more wait in the kernel for the next turn.
    private const int EventsPerTurn = 512;

    // Commands a turn, so that a burst of accepts does not hold up those that are connected.
    private const int CommandsPerTurn = 256;

    // Rows a turn: with TCP_INFO some 300 us, which is what a walk may cost the latency of others.
    private const int RowsPerTurn = 128;

    // A turn that takes longer than this was held up by a handler that blocks.
    private const int StallMilliseconds = 100;

    private const int LogInterval = 1000;

    private const ulong MailboxToken = ulong.MaxValue;

    private static long s_lastConnectionId;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Mailbox _mailbox;
    private readonly Thread _thread;
    private readonly ConnectionTable _table = new();
    private readonly byte[] _scratch = GC.AllocateUninitializedArray<byte>(ScratchSize, pinned: true);
    private Queue<Connection> _ready = new();
    private Queue<Connection> _readyNow = new();
    private readonly List<Connection> _sync = [];
    private readonly List<Connection> _reap = [];
    private bool _mailboxPending;

    // In ticks of Stopwatch.
    private long _busyPoll;
    private bool _retiring;
    private bool _stopping;
    private long _turnStarted;
    private long _nextAdoptLogAt;

    // Since they were last logged.
    private long _adoptErrors;
    private int _managedThreadId;
    private int _threadId;

    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal Worker(Server server, int id)
    {
        _server = server;
        Id = id;
        ReadOptions();
        Now = Clock.Now;
        Timers = new TimerWheel(Now);
        Scratch = (byte*)Unsafe.AsPointer(ref _scratch[0]);
        _epoll = new Epoll(EventsPerTurn);
        Acceptor = new Acceptor(server, _epoll, Counters, AdoptOwn);
        Gate = Options.Sessions is { } sessions ? new SessionGate(sessions) : null;
        try
        {
            _mailbox = new Mailbox();
            int errno = _epoll.Add(_mailbox.EventFdNumber, Epoll.In | Epoll.EdgeTriggered, MailboxToken);
            if (errno != 0)
            {
                throw new EngineException("epoll_ctl", errno);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        _thread = new Thread(Run) { IsBackground = true, Name = $"c10k {server.Options.Name} {id}" };
    }

    /// <summary>The last one that was given away, in the process.</summary>
    internal static long LastConnectionId => Interlocked.Read(ref s_lastConnectionId);

    internal int Id { get; }

    /// <summary>The server's, as this worker has last read them.</summary>
    internal ServerOptions Options { get; private set; }

    // Those that the loop looks at, in milliseconds; Clock.Never for none.
    internal long IdleTimeout { get; private set; }

    internal long HandshakeTimeout { get; private set; }

    internal long MessageTimeout { get; private set; }

    internal long LingerTimeout { get; private set; }

    internal long WriteTimeout { get; private set; }

    /// <summary>How often a connection with output outstanding is asked whether its peer takes any.</summary>
    internal long StallLookInterval { get; private set; }

    internal int HighWaterMark { get; private set; }

    /// <summary>How input is cut into messages; null for not at all.</summary>
    internal Framing? Framing { get; private set; }

    /// <summary>Milliseconds; read once a turn.</summary>
    internal long Now { get; private set; }

    /// <summary>The receive buffer, <see cref="ScratchSize"/> bytes, pinned.</summary>
    internal byte* Scratch { get; }

    internal BufferPool Buffers { get; } = new();

    internal TimerWheel Timers { get; }

    internal Counters Counters { get; } = new();

    internal Server Server => _server;

    /// <summary>To the handler threads, where the server has them.</summary>
    internal SessionGate? Gate { get; }

    /// <summary>Has sockets with ReusePort, or where the worker is the only one.</summary>
    internal Acceptor Acceptor { get; }

    /// <summary>From any thread.</summary>
    internal int ConnectionCount => _table.Count;

    /// <summary>Whether the calling thread is this worker's. From any thread.</summary>
    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    /// <summary>Connections that it has or will have in a moment. From any thread.</summary>
    internal int Load => _table.Count + _mailbox.Count;

    internal void Start() => _thread.Start();

    /// <summary>From any thread. False when the worker is over; what the command owns is the caller's then.</summary>
    internal bool Post(in Command command, bool wake = true) => _mailbox.Post(command, wake);

    /// <summary>From any thread: for what was posted without a wake-up.</summary>
    internal void Wake() => _mailbox.Wake();

    /// <summary>From any thread but an engine thread. False when the thread did not end in time: a handler blocks it.</summary>
    internal bool Join(TimeSpan timeout) => (_thread.ThreadState & System.Threading.ThreadState.Unstarted) != 0 || _thread.Join(timeout);

    /// <summary>A look from any thread.</summary>
    internal WorkerInfo ToInfo()
    {
        long turnStarted = Volatile.Read(ref _turnStarted);
        bool over = !_thread.IsAlive;
        bool stalled = turnStarted != 0 && Clock.Now - turnStarted > StallMilliseconds;
        return new WorkerInfo(
            Id,
            Volatile.Read(ref _threadId),
            over ? WorkerState.Stopped : stalled ? WorkerState.Stalled : WorkerState.Running,
            ConnectionCount,
            Volatile.Read(ref Counters.Wakeups),
            Volatile.Read(ref Counters.Events),
            over ? TimeSpan.Zero : EngineThread.CpuTime(Volatile.Read(ref _threadId)),
            _mailbox.Count,
            Volatile.Read(ref Counters.Stalls));
    }

    /// <exception cref="InvalidOperationException">The caller is on another thread.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CheckThread()
    {
        if (Environment.CurrentManagedThreadId != _managedThreadId)
        {
            ThrowWrongThread();
        }
    }

    internal void AddToReady(Connection connection) => _ready.Enqueue(connection);

    internal void AddToSync(Connection connection) => _sync.Add(connection);

    internal void AddToReap(Connection connection) => _reap.Add(connection);

    internal void OnHandlerError(Connection connection, Exception exception)
    {
        Counters.HandlerErrors++;
        _server.OnHandlerError(connection, exception);
    }

    public void Dispose()
    {
        Acceptor.Dispose();
        _mailbox?.Dispose();
        _epoll.Dispose();
    }

    private static void ThrowWrongThread() => throw new InvalidOperationException(
        "A connection's members are called on its worker's thread, that is, from its handler's callbacks.");

    private void Run()
    {
        _managedThreadId = Environment.CurrentManagedThreadId;
        Volatile.Write(ref _threadId, EngineThread.KernelId());
        try
        {
            while (!_stopping)
            {
                Turn();
            }
        }
        catch (Exception e)
        {
            // An engine thread never ends the user's process (pitfall 44).
            _server.OnFault($"worker {Id}", e);
        }

        CloseDown();
    }

    // A method of its own: tiered compilation replaces a method at its next call, and the loop is called once.
    private void Turn()
    {
        int n = Wait();
        Acceptor.Advance(Now);
        Dispatch(n);
        ReadMailbox();
        Timers.Advance(Now);
        RunCallbacks();
        Gate?.Publish(Now);
        SyncInterest();
        Reap();
        if (_retiring)
        {
            HandOver();
        }
    }

    private int Wait()
    {
        long now = Clock.Now;
        if (now - Now > StallMilliseconds && _turnStarted != 0)
        {
            Counters.Stalls++;
            _server.OnStall(Id, now - Now);
        }

        Volatile.Write(ref _turnStarted, 0);
        bool work = _mailboxPending || _ready.Count > 0 || _sync.Count > 0 || _reap.Count > 0;
        int timeout = work ? 0 : Timeout(now);
        int n = timeout == 0 || _busyPoll == 0 ? _epoll.Wait(timeout) : WaitBusily(timeout);
        Now = Clock.Now;
        Volatile.Write(ref _turnStarted, Now);
        if (n < 0)
        {
            // EINTR: the next turn computes the timeout again (pitfall 36).
            return n == -Errno.EINTR ? 0 : throw new EngineException("epoll_wait", -n);
        }

        Counters.Wakeups++;
        Counters.Events += n;
        _mailboxPending |= Gate is not null && Gate.LookAround(_mailbox.HasPosts, Now);
        return n;
    }

    /// <summary>Looks again and again before it blocks: who answers within that time is not waited for, and no processor has to be woken.</summary>
    private int WaitBusily(int timeout)
    {
        long until = Stopwatch.GetTimestamp() + (timeout < 0 ? _busyPoll : Math.Min(_busyPoll, timeout * Stopwatch.Frequency / 1000));
        int n;
        do
        {
            n = _epoll.Wait(0);
            if (n != 0)
            {
                return n;
            }
        }
        while (Stopwatch.GetTimestamp() < until);

        return _epoll.Wait(Timeout(Clock.Now));
    }

    private int Timeout(long now)
    {
        int timeout = Earlier(Timers.Timeout(now), Acceptor.Timeout(now));
        return Gate is { IsOwed: true } ? Earlier(timeout, Gate.Look) : timeout;
    }

    // Negative is never.
    private static int Earlier(int one, int other) => one < 0 ? other : other < 0 ? one : Math.Min(one, other);

    private void Dispatch(int n)
    {
        for (int i = 0; i < n; i++)
        {
            uint ready = _epoll.Event(i, out ulong token);
            if (_table.TryGet(token, out Connection? connection))
            {
                connection.OnEvents(ready);
            }
            else if (token == MailboxToken)
            {
                _mailboxPending = true;
            }
            else
            {
                // A listening socket; or an earlier owner's, and nobody's.
                Acceptor.OnEvent(token, Now);
            }
        }
    }

    private void ReadMailbox()
    {
        if (!_mailboxPending)
        {
            return;
        }

        for (int i = 0; i < CommandsPerTurn; i++)
        {
            if (!_mailbox.TryTake(out Command command))
            {
                _mailboxPending = false;
                return;
            }

            Obey(command);
            if (command.Kind == CommandKind.Walk)
            {
                // A portion is a turn's worth, and the next one may wait in here already.
                return;
            }
        }
    }

    private void Obey(in Command command)
    {
        switch (command.Kind)
        {
            case CommandKind.Adopt:
                Adopt(command);
                break;
            case CommandKind.TakeOver:
                TakeOver((Migrant)command.Subject!);
                break;
            case CommandKind.Act:
                Act((ConnectionRequest)command.Subject!);
                break;
            case CommandKind.Walk:
                Walk((ConnectionWalk)command.Subject!, command.Number);
                break;
            case CommandKind.Deliver:
                Deliver(command);
                break;
            case CommandKind.Configure:
                Configure();
                break;
            case CommandKind.StopAccepting:
                _server.ReturnSockets(Acceptor.Release());
                break;
            case CommandKind.Retire:
                _retiring = true;
                Acceptor.Drain(Now);
                break;
            case CommandKind.Stop:
                Stop(reset: command.Number != 0);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private bool AdoptOwn(Command command)
    {
        Adopt(command);
        return true;
    }

    private void Adopt(in Command command)
    {
        ConnectionHandler handler;
        long id = Interlocked.Increment(ref s_lastConnectionId);
        try
        {
            handler = Options.HandlerFactory();
        }
        catch (Exception e)
        {
            Counters.HandlerErrors++;
            _server.OnHandlerFactoryError(e);
            Refuse(command);
            return;
        }

        var connection = new Connection(this, id, command.Fd, command.Remote, (ListeningSocket)command.Subject!, handler, command.Number != 0);
        _table.Add(connection);
        int errno = _epoll.Add(command.Fd, Epoll.In | Epoll.RdHup, ConnectionTable.Token(connection));
        if (errno != 0)
        {
            _table.Remove(connection);
            CountAdoptError(errno);
            Refuse(command);
            return;
        }

        if (_server.Log.IsEnabled(LogLevel.Debug))
        {
            _server.Log.ConnectionOpened(Options.Name, id, connection.RemoteEndPoint, Id);
        }

        _server.Observers.OnOpened(connection);
        connection.Open();
    }

    // As the acceptor does with its errors: a limit that is reached fails every connection that comes, and the log is bounded.
    private void CountAdoptError(int errno)
    {
        Counters.AcceptErrors++;
        _adoptErrors++;
        if (Now >= _nextAdoptLogAt)
        {
            _nextAdoptLogAt = Now + LogInterval;
            _server.OnAdoptError(errno, _adoptErrors);
            _adoptErrors = 0;
        }
    }

    // A descriptor that never became a connection of the table: the peer sees a reset at once instead of silence.
    private void Refuse(in Command command)
    {
        if (command.Number != 0)
        {
            _server.Addresses.Release(command.Remote);
        }

        Sockets.ResetOnClose(command.Fd);
        _ = Libc.Close(command.Fd);
        Counters.Closed++;
    }

    private void Deliver(in Command command)
    {
        var session = (Session)command.Subject!;
        Worker owner = session.Connection.Worker;
        if (owner != this || session.Connection.IsInTransit)
        {
            // It has moved, or is on its way here: behind the migrant. Where the owner is over, so is the connection.
            owner.Post(command);
            return;
        }

        session.Connection.Deliver(session);
    }

    private void Act(ConnectionRequest request)
    {
        Connection? connection = _table.Find(request.Target.Id, request.Target.Slot);
        if (connection is null || connection.State == ConnectionState.Closed)
        {
            request.Answer(null);
            return;
        }

        switch (request.Action)
        {
            case ConnectionAction.Look:
                break;
            case ConnectionAction.Close:
                connection.BeginClose(CloseReason.AdminClosed);
                break;
            case ConnectionAction.Reset:
                connection.Abort(CloseReason.AdminClosed);
                break;
            case ConnectionAction.PauseReading:
                connection.PauseByAdmin();
                break;
            case ConnectionAction.ResumeReading:
                connection.ResumeByAdmin();
                break;
            case ConnectionAction.Send:
                request.Parcel!.Deliver(connection);
                break;
            case ConnectionAction.Move:
                // The row first: afterwards the connection is another thread's.
                ConnectionInfo row = connection.ToInfo();
                bool moved = Move(connection, request.MoveTo!);
                request.Answer(moved ? row with { Worker = request.MoveTo!.Id, Slot = -1 } : row);
                return;
            default:
                throw new UnreachableException();
        }

        // A look is one connection's: what the kernel knows of it is not spared there.
        request.Answer(connection.ToInfo(tcp: request.Action == ConnectionAction.Look));
    }

    /// <summary>Gives a connection away, with all that belongs to it. False when the other worker is over: it stays then.</summary>
    private bool Move(Connection connection, Worker to)
    {
        if (to == this)
        {
            return true;
        }

        // Out of every list of this thread before another thread may touch it.
        int errno = _epoll.Delete(connection.Fd);
        Debug.Assert(errno == 0, "an open connection is registered");
        _table.Remove(connection);
        _sync.Remove(connection);
        if (_ready.Contains(connection))
        {
            _ready = new Queue<Connection>(_ready.Where(other => other != connection));
        }

        // What it has told is on its way before another worker can add to it.
        Gate?.Publish(Now);
        Migrant migrant = connection.Detach(to);
        _server.Workers.OnMoveBegun();
        if (to.Post(new Command(CommandKind.TakeOver, Subject: migrant)))
        {
            return true;
        }

        connection.Assign(this);
        TakeOver(migrant);
        return false;
    }

    private void TakeOver(Migrant migrant)
    {
        Connection connection = migrant.Connection;
        _table.Add(connection);
        _server.Workers.OnMoveEnded();
        int errno = connection.Attach(_epoll, migrant.Output);
        if (errno != 0)
        {
            connection.FailSocket(errno);
        }

        if (connection.Tag is Session session)
        {
            // A handler thread may have posted to the worker before, which was over by then: nobody else would come for it.
            Gate!.TakeOver(session);
            connection.Deliver(session);
        }
    }

    /// <summary>Retiring: connections go to the workers that stay; with the last one this one ends.</summary>
    private void HandOver()
    {
        for (int slot = 0; slot < _table.Capacity && _table.Count > 0; slot++)
        {
            if (_table.At(slot) is { State: not ConnectionState.Closed } connection && _server.Workers.Next() is { } heir && heir != this)
            {
                Move(connection, heir);
            }
        }

        _stopping |= _table.Count == 0;
    }

    private void Configure()
    {
        ReadOptions();
        for (int slot = 0; slot < _table.Capacity; slot++)
        {
            _table.At(slot)?.Reconfigure();
        }
    }

    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(Options))]
    private void ReadOptions()
    {
        Options = _server.Options;
        IdleTimeout = Clock.ToMilliseconds(Options.IdleTimeout);
        HandshakeTimeout = Clock.ToMilliseconds(Options.HandshakeTimeout);
        MessageTimeout = Clock.ToMilliseconds(Options.MessageTimeout);
        LingerTimeout = Clock.ToMilliseconds(Options.LingerTimeout);
        WriteTimeout = Clock.ToMilliseconds(Options.WriteTimeout);
        StallLookInterval = WriteTimeout == Clock.Never ? Clock.Never : Math.Max(TimerWheel.Tick, WriteTimeout / 4);
        HighWaterMark = Options.HighWaterMark;
        _busyPoll = (long)(Options.BusyPoll.TotalSeconds * Stopwatch.Frequency);
        Framing = Options.Framing.Kind == FramingKind.Raw ? null : Options.Framing;
    }

    private void Walk(ConnectionWalk walk, int from)
    {
        if (walk.IsOver)
        {
            walk.Finish(Id);
            return;
        }

        int to = Math.Min(from + walk.Portion(RowsPerTurn), _table.Capacity);
        List<ConnectionInfo>? rows = null;
        for (int slot = from; slot < to; slot++)
        {
            if (_table.At(slot) is { State: not ConnectionState.Closed } connection
                && walk.Filter.Accepts(connection) && walk.Meet(connection))
            {
                (rows ??= new List<ConnectionInfo>(to - from)).Add(connection.ToInfo(walk.Filter.WithTcp));
            }
        }

        walk.Add(rows);
        if (to < _table.Capacity)
        {
            // The rest after others have had their turn.
            Post(new Command(CommandKind.Walk, Subject: walk, Number: to));
        }
        else
        {
            walk.Finish(Id);
        }
    }

    private void Stop(bool reset)
    {
        _stopping = true;
        Acceptor.Dispose();
        for (int slot = 0; slot < _table.Capacity; slot++)
        {
            if (_table.At(slot) is not { } connection)
            {
                continue;
            }

            if (reset)
            {
                connection.Abort(CloseReason.ServerStopped);
            }
            else
            {
                connection.Stop();
            }
        }
    }

    /// <summary>One pass over what is due; what these callbacks make due is for the next pass, so that none can hold the loop.</summary>
    private void RunCallbacks()
    {
        (_ready, _readyNow) = (_readyNow, _ready);
        while (_readyNow.TryDequeue(out Connection? connection))
        {
            if (connection.RunCallbacks())
            {
                _ready.Enqueue(connection);
            }
        }
    }

    private void SyncInterest()
    {
        // By index: a failure in here closes a connection, which may mark others.
        for (int i = 0; i < _sync.Count; i++)
        {
            _sync[i].SyncInterest(_epoll);
        }

        _sync.Clear();
    }

    /// <summary>The one close of connections in the code base.</summary>
    private void Reap()
    {
        if (_reap.Count == 0)
        {
            return;
        }

        foreach (Connection connection in _reap)
        {
            _ = _epoll.Delete(connection.Fd);
            connection.Release(_server.Addresses);
            ClosedRing.Record record = connection.ToRecord();
            _server.ClosedConnections.Add(record);

            // Whatever it returns, EINTR included, the descriptor is gone: never again (pitfall 5).
            _ = Libc.Close(connection.Fd);
            _table.Remove(connection);
            Counters.Closed++;
            _server.Observers.OnClosed(record);
            _server.Log.ConnectionClosed(Options.Name, connection.Id, connection.CloseReason, connection.BytesReceived, connection.BytesSent);
        }

        _reap.Clear();
    }

    /// <summary>The loop is over, in order or by a fault: nothing that it owned stays behind.</summary>
    private void CloseDown()
    {
        try
        {
            _mailbox.Close();
            while (_mailbox.TryTake(out Command command))
            {
                ObeyLate(command);
            }

            Stop(reset: false);
            while (_table.Count > 0)
            {
                RunCallbacks();
                Gate?.Publish(Now);
                Reap();
            }

            Gate?.Close();
        }
        catch (Exception e)
        {
            _server.OnFault($"worker {Id}", e);
        }
        finally
        {
            Dispose();
        }
    }

    /// <summary>What had been posted when the loop ended. Its descriptors and questions are seen to all the same.</summary>
    private void ObeyLate(in Command command)
    {
        switch (command.Kind)
        {
            case CommandKind.Adopt or CommandKind.TakeOver when _retiring && _server.Workers.Redeal(command, this):
                break;
            case CommandKind.Adopt:
                Refuse(command);
                break;
            case CommandKind.TakeOver:
                TakeOver((Migrant)command.Subject!);
                break;
            case CommandKind.Act:
                ((ConnectionRequest)command.Subject!).Answer(null);
                break;
            case CommandKind.Walk:
                ((ConnectionWalk)command.Subject!).Finish(Id);
                break;
            case CommandKind.Deliver:
                Deliver(command);
                break;
            case CommandKind.Configure or CommandKind.StopAccepting or CommandKind.Retire or CommandKind.Stop:
                break;
            default:
                throw new UnreachableException();
        }
    }
}
