using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// A thread, its epoll, and the connections that it owns.
/// <para>
/// Threads: the worker, its connections, its table and its timers are touched on the loop's thread alone. Other threads use
/// <see cref="Post"/>. Every other member that they may call says so. A descriptor in an Adopt command becomes this worker's when the
/// command is taken. From then on <see cref="Reap"/> is the only place that closes it.
/// </para>
/// <para>
/// A turn: wait, dispatch, mailbox, callbacks, timers, sync interest masks, reap. Each phase is bounded. Timers come after the callbacks,
/// because a message that has just become complete is not late. Callbacks of requests never nest, because they run from the ready list.
/// Descriptors are closed at the end of the turn, so that no event of the batch can meet a descriptor that was used again (pitfall 1).
/// </para>
/// </summary>
internal sealed unsafe partial class Worker : IDisposable
{
    /// <summary>The most bytes that one recv takes. One buffer serves all connections of the worker.</summary>
    internal const int ScratchSize = 64 * 1024;

    // The most events of a batch. More events wait in the kernel for the next turn.
    private const int EventsPerTurn = 512;

    // A turn that takes longer than this was held up by a handler that blocks.
    private const int StallMilliseconds = 100;

    private const ulong MailboxToken = ulong.MaxValue;

    private static long s_lastConnectionId;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Mailbox _mailbox;
    private readonly EngineThread _thread;
    private readonly ConnectionTable _table = new();
    private readonly byte[] _scratch = GC.AllocateUninitializedArray<byte>(ScratchSize, pinned: true);
    private Queue<Connection> _ready = new(LeastListCapacity);
    private Queue<Connection> _readyNow = new(LeastListCapacity);
    private readonly Queue<Connection> _sync = new(LeastListCapacity);
    private readonly Queue<Connection> _reap = new(LeastListCapacity);
    private StartGate? _startGate;
    private bool _mailboxPending;

    // In ticks of Stopwatch.
    private long _busyPoll;
    private bool _retiring;
    private bool _stopping;
    private long _turnStarted;
    private int _managedThreadId;
    private int _threadId;

    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal Worker(Server server, int id)
    {
        _server = server;
        Id = id;
        InputBudget = new InputBudget(this, _table);
        ReadOptions();
        Now = _seen = Clock.Now;
        Timers = new TimerWheel(Now);
        Scratch = (byte*)Unsafe.AsPointer(ref _scratch[0]);
        _epoll = new Epoll(EventsPerTurn);
        Acceptor = new Acceptor(server, _epoll, Counters, AdoptOwn);
        Gate = Options.Sessions is { } sessions ? new SessionPublisher(sessions) : null;
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

        _thread = new EngineThread($"c10k {server.Options.Name} {id}", Run, e => server.OnFault($"worker {id}", e));
    }

    /// <summary>The connection id that was last given away in the process.</summary>
    internal static long LastConnectionId => Interlocked.Read(ref s_lastConnectionId);

    internal int Id { get; }

    /// <summary>The server's options, as this worker has last read them.</summary>
    internal ServerOptions Options { get; private set; }

    // The options that the loop reads, in milliseconds; Clock.Never for none.
    internal long IdleTimeout { get; private set; }

    internal long HandshakeTimeout { get; private set; }

    internal long MessageTimeout { get; private set; }

    internal long LingerTimeout { get; private set; }

    internal long WriteTimeout { get; private set; }

    /// <summary>How often a connection with outstanding output is asked whether its peer takes any of it.</summary>
    internal long StallLookInterval { get; private set; }

    internal int HighWaterMark { get; private set; }

    /// <summary>How input is cut into messages; null if it is not cut.</summary>
    internal Framing? Framing { get; private set; }

    /// <summary>The time on the engine's clock, in milliseconds; read once a turn.</summary>
    internal long Now { get; private set; }

    /// <summary>The receive buffer, <see cref="ScratchSize"/> bytes, pinned.</summary>
    internal byte* Scratch { get; }

    internal BufferPool Buffers { get; } = new();

    /// <summary>The memory of input that has not become a message yet.</summary>
    internal InputPool Inputs { get; } = new();

    internal InputBudget InputBudget { get; }

    internal TimerWheel Timers { get; }

    internal Counters Counters { get; } = new();

    internal Server Server => _server;

    /// <summary>The way to the handler threads, if the server has any.</summary>
    internal SessionPublisher? Gate { get; }

    /// <summary>The worker's acceptor. It has sockets with ReusePort, and when the worker is the only one.</summary>
    internal Acceptor Acceptor { get; }

    /// <summary>The connections that the worker owns. May be read from any thread.</summary>
    internal int ConnectionCount => _table.Count;

    /// <summary>Whether the calling thread is this worker's. May be read from any thread.</summary>
    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    /// <summary>The connections that the worker has or will have in a moment. May be read from any thread.</summary>
    internal int Load => _table.Count + _mailbox.Count;

    /// <summary>
    /// Starts the thread, which does nothing before the gate is opened. If the start is called off, the thread gives back what the worker
    /// holds, and ends.
    /// </summary>
    /// <exception cref="EngineException">The process may not have another thread.</exception>
    internal void Start(StartGate gate)
    {
        _startGate = gate;
        _thread.Start();
    }

    /// <summary>
    /// Posts a command to the worker. May be called from any thread. Returns false when the worker has ended; what the command owns then
    /// belongs to the caller.
    /// </summary>
    internal bool Post(in Command command, bool wake = true) => _mailbox.Post(command, wake);

    /// <summary>Wakes the worker for commands that were posted without a wake-up. May be called from any thread.</summary>
    internal void Wake() => _mailbox.Wake();

    /// <summary>
    /// Waits for the thread's end. May be called from any thread except an engine thread. Returns false when the thread did not end in
    /// time, because a handler blocks it.
    /// </summary>
    internal bool Join(TimeSpan timeout) => _thread.Join(timeout);

    /// <summary>Whether the worker's thread runs. May be read from any thread.</summary>
    internal bool IsAlive => _thread.IsAlive;

    /// <summary>A snapshot of the worker. May be called from any thread.</summary>
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
            over ? TimeSpan.Zero : KernelThread.CpuTime(Volatile.Read(ref _threadId)),
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

    internal void OnHandlerError(Connection connection, Exception exception)
    {
        Counters.HandlerErrors++;
        _server.OnHandlerError(connection, exception);
    }

    internal void OnMessageTooLong(Connection connection, long most, bool byHandler) => _server.OnMessageTooLong(connection, most, byHandler);

    internal void OnInputBudgetExceeded(int closed, long limit) => _server.OnInputBudgetExceeded(Id, closed, limit);

    internal void OnSendQueueFull(Connection connection, long most) => _server.OnSendQueueFull(connection, most);

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
        if (!_startGate!.Wait())
        {
            Dispose();
            return;
        }

        _managedThreadId = Environment.CurrentManagedThreadId;
        Volatile.Write(ref _threadId, KernelThread.KernelId());
        try
        {
            while (!_stopping)
            {
                TryTurn();
            }
        }
        catch (Exception e)
        {
            // An engine thread never ends the user's process (pitfall 44).
            _server.OnFault($"worker {Id}", e);
        }
        finally
        {
            CloseDown();
        }
    }

    // The turn is a method of its own, because tiered compilation replaces a method at its next call and the loop is called only once.
    private void Turn()
    {
        int n = Wait();
        Recover();
        Acceptor.Advance(Now);
        Dispatch(n);
        ReadMailbox();
        RunCallbacks();
        Timers.Advance(_seen);
        Gate?.Publish(Now);
        SyncInterest();
        Reap();
        if (_retiring && !_mailboxPending)
        {
            // The handover comes only when the mailbox is empty, because walks and questions must still find the connections here.
            HandOver();
        }
    }

    private void Dispatch(int n)
    {
        for (int i = 0; i < n; i++)
        {
            uint ready = _epoll.Event(i, out ulong token);
            if (_table.TryGet(token, out Connection? connection))
            {
                try
                {
                    connection.OnEvents(ready);
                }
                catch (OutOfMemoryException)
                {
                    OnMemoryExhausted(connection);
                }
            }
            else if (token == MailboxToken)
            {
                _mailboxPending = true;
            }
            else
            {
                // The token belongs to a listening socket, or to an earlier owner and therefore to nobody.
                Acceptor.OnEvent(token, Now);
            }
        }
    }

    /// <summary>
    /// Makes one pass over the connections with callbacks due. What these callbacks make due is left for the next pass, so that no
    /// connection can hold the loop.
    /// </summary>
    private void RunCallbacks()
    {
        (_ready, _readyNow) = (_readyNow, _ready);
        while (_readyNow.TryDequeue(out Connection? connection))
        {
            bool again;
            try
            {
                again = connection.RunCallbacks();
            }
            catch (OutOfMemoryException)
            {
                // The connection stays in the list, as its flag says.
                OnMemoryExhausted(connection);
                again = true;
            }

            if (again && !TryAdd(_ready, connection))
            {
                connection.LeaveReadyList();
            }
        }
    }

    private void SyncInterest()
    {
        // A failure in here closes a connection, and that may mark other connections, which follow in the same pass.
        while (_sync.TryDequeue(out Connection? connection))
        {
            connection.SyncInterest(_epoll);
        }
    }
}
