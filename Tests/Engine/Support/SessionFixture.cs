using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;

namespace C10kServer.Engine.Tests.Support;

/// <summary>
/// A server whose lines go to handler threads, plain ones. At the end both are stopped: no thread may have failed, all that was owed is
/// settled, and every count is back at zero.
/// </summary>
internal sealed class SessionFixture : IDisposable
{
    private readonly ServerFixture _fixture;
    private readonly Action<Session, SessionMessage> _handler;
    private readonly List<Thread> _threads = [];
    private readonly ConcurrentDictionary<int, SessionConsumer> _consumers = new();
    private readonly ConcurrentQueue<Exception> _failures = new();
    private readonly ConcurrentBag<Worker> _workers = [];

    /// <param name="threads">Handler threads.</param>
    /// <param name="handler">Called with each message; what it throws fails the test.</param>
    /// <param name="tellsOpened">As the scheduler's.</param>
    /// <param name="tellsClosed">As the scheduler's.</param>
    /// <param name="onArrival">Called on the worker's thread with each session that a line has come for.</param>
    /// <param name="with">Changes the server's options.</param>
    internal SessionFixture(
        int threads,
        Action<Session, SessionMessage> handler,
        bool tellsOpened = false,
        bool tellsClosed = false,
        Action<Session>? onArrival = null,
        Func<ServerOptions, ServerOptions>? with = null)
    {
        _handler = handler;
        Scheduler = new SessionScheduler(Decode, tellsOpened, tellsClosed);
        _fixture = new ServerFixture(static () => throw new UnreachableException(), options =>
        {
            options = options with { WorkerCount = 1, Framing = Framing.Line };
            return (with is null ? options : with(options)).UseSessions(Scheduler);
        });
        SeeWorkers();
        for (int i = 0; i < threads; i++)
        {
            AddThread();
        }

        object Decode(Session session, ReadOnlySpan<byte> line)
        {
            onArrival?.Invoke(session);
            return Encoding.ASCII.GetString(line);
        }
    }

    internal SessionScheduler Scheduler { get; }

    internal Server Server => _fixture.Server;

    /// <summary>By the order in which the threads were added.</summary>
    internal SessionConsumer Consumer(int thread) => _consumers[thread];

    internal int ExpectedHandlerErrors
    {
        set => _fixture.ExpectedHandlerErrors = value;
    }

    internal int Asleep
    {
        get
        {
            lock (LockOf(Scheduler))
            {
                return AsleepOf(Scheduler);
            }
        }
    }

    /// <summary>Bytes that are with the handler threads or wait for them, as the bound counts them.</summary>
    internal long Outstanding
    {
        get
        {
            lock (LockOf(Scheduler))
            {
                return OutstandingOf(Scheduler);
            }
        }
    }

    /// <summary>The workers wait for answers, or for what was posted without a wake-up.</summary>
    internal bool IsOwed => _workers.Any(static worker => worker.Gate!.IsOwed);

    internal long Wakeups => Server.GetWorkers().Sum(static worker => worker.Wakeups);

    internal TestClient Connect(int receiveBuffer = 0) => _fixture.Connect(receiveBuffer);

    internal IReadOnlyList<ConnectionInfo> Rows() => _fixture.Rows();

    /// <summary>The row of a client's connection, which may have to be accepted first.</summary>
    internal ConnectionInfo RowOf(TestClient client)
    {
        ConnectionInfo? row = null;
        Eventually.True(() => (row = Rows().SingleOrDefault(row => client.Socket.LocalEndPoint!.Equals(row.RemoteEndPoint))) is not null);
        return row!;
    }

    /// <summary>Whether a connection that does nothing just now has a session object.</summary>
    internal bool HasSession(ConnectionInfo row) => TableOf(Server.Workers.Current[row.Worker]).At(row.Slot)?.Tag is Session;

    /// <summary>The session of a connection that has one.</summary>
    internal Session Session(ConnectionInfo row) => Assert.IsType<Session>(TableOf(Server.Workers.Current[row.Worker]).At(row.Slot)?.Tag);

    /// <summary>Whether the handler of a thread waits for its peer to take output.</summary>
    internal bool IsWaiting(int thread) => Consumer(thread).Session is { } session && WaiterOf(session) is not null;

    internal void AddThread()
    {
        int number = _threads.Count;
        var thread = new Thread(() =>
        {
            var consumer = new SessionConsumer(Scheduler);
            _consumers[number] = consumer;
            try
            {
                while (consumer.TryTake(out Session? session, out SessionMessage? message))
                {
                    _handler(session, message);
                }
            }
            catch (Exception e)
            {
                _failures.Enqueue(e);
            }
            finally
            {
                consumer.Leave();
            }
        })
        { IsBackground = true };
        _threads.Add(thread);
        thread.Start();
        Eventually.True(() => _consumers.ContainsKey(number));
    }

    internal void Resize(int workers)
    {
        Assert.True(Server.Reconfigure(Server.Options with { WorkerCount = workers }));
        SeeWorkers();
    }

    /// <summary>Nothing is under way, and nothing is owed.</summary>
    internal void AssertAtRest()
    {
        Eventually.True(() => !IsOwed);
        Eventually.Equal(0, () => Outstanding);
        Assert.Equal(0, Scheduler.Count);
        Assert.Empty(_failures);
    }

    public void Dispose()
    {
        Assert.Empty(_failures);
        Server.Stop();
        Scheduler.Complete();
        _threads.ForEach(static thread => Assert.True(thread.Join(Eventually.Patience), "a handler thread does not end"));
        AssertAtRest();
        Assert.Equal((0, 0), (Asleep, WakesUnderWayOf(Scheduler)));
        _fixture.Dispose();
    }

    private void SeeWorkers()
    {
        foreach (Worker worker in Server.Workers.Current)
        {
            _workers.Add(worker);
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_table")]
    private static extern ref ConnectionTable TableOf(Worker worker);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_waiter")]
    private static extern ref SessionConsumer? WaiterOf(Session session);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_gate")]
    private static extern ref object LockOf(SessionScheduler scheduler);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_asleep")]
    private static extern ref int AsleepOf(SessionScheduler scheduler);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_wakesUnderWay")]
    private static extern ref int WakesUnderWayOf(SessionScheduler scheduler);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_outstanding")]
    private static extern ref long OutstandingOf(SessionScheduler scheduler);
}
