using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The acceptor's thread, with an epoll of its own for the listening sockets and a wake-up. It deals accepted descriptors to the workers.
/// Each descriptor belongs to the AcceptLoop until a worker's mailbox has taken it. With ReusePort the sockets belong to the workers. If a
/// server was started with one worker, the sockets belong to that worker until there are more. In both cases the AcceptLoop samples the
/// rates, ends drains and logs what the throttles left out.
/// </summary>
internal sealed class AcceptLoop : IDisposable
{
    private const int EventsPerTurn = 64;

    // How often a draining server is checked for the end of its last connection. The check costs the workers nothing.
    private const int DrainLookMilliseconds = 100;

    private const ulong WakeToken = ulong.MaxValue;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Descriptor _wake;
    private readonly EngineThread _thread;

    // Sockets handed over by another thread that this thread has not registered yet. Null after the loop's end. They have a lock of their
    // own.
    private readonly Lock _handOver = new();
    private Queue<ListeningSocket>? _handedOver = new();
    private volatile bool _stopping;
    private StartGate? _startGate;
    private int _managedThreadId;

    /// <exception cref="EngineException">Descriptors are used up; nothing is left behind.</exception>
    internal AcceptLoop(Server server)
    {
        _server = server;
        _epoll = new Epoll(EventsPerTurn);
        Acceptor = new Acceptor(server, _epoll, server.AcceptLoopCounters, Deal);
        try
        {
            _wake = EventFd.Open();
            int errno = _epoll.Add(_wake.Fd, Epoll.In | Epoll.EdgeTriggered, WakeToken);
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

        _thread = new EngineThread($"c10k {server.Options.Name} accept", Run, e => server.OnFault("the acceptor", e));
    }

    internal Acceptor Acceptor { get; }

    internal RateSampler Rates { get; } = new(Clock.Now);

    /// <summary>Whether nothing is left that the AcceptLoop could accept. May be read from any thread.</summary>
    internal bool IsDrained
    {
        get
        {
            lock (_handOver)
            {
                if (_handedOver is { Count: > 0 })
                {
                    return false;
                }
            }

            return Acceptor.IsDrained;
        }
    }

    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    /// <summary>
    /// Starts the thread, which does nothing before the gate is opened. If the start is called off, the thread closes what the AcceptLoop
    /// holds, and ends.
    /// </summary>
    /// <exception cref="EngineException">The process may not have another thread.</exception>
    internal void Start(StartGate gate)
    {
        _startGate = gate;
        _thread.Start();
    }

    /// <summary>Wakes the loop when the server's intake has changed. May be called from any thread.</summary>
    internal void Wake()
    {
        try
        {
            EventFd.Signal(_wake);
        }
        catch (ObjectDisposedException)
        {
            // The loop has ended by itself.
        }
    }

    /// <summary>
    /// Takes sockets over. Called on the thread that owned them. The AcceptLoop accepts from them from now on. After the loop's end they
    /// are closed.
    /// </summary>
    internal void TakeOver(ListeningSocket[] sockets)
    {
        lock (_handOver)
        {
            if (_handedOver is { } handedOver)
            {
                Array.ForEach(sockets, handedOver.Enqueue);
            }
            else
            {
                Array.ForEach(sockets, static socket => socket.Dispose());
            }
        }

        Wake();
    }

    /// <summary>Ends the loop, which closes its sockets. May be called from any thread.</summary>
    internal void BeginStop()
    {
        _stopping = true;
        Wake();
    }

    internal bool Join(TimeSpan timeout) => _thread.Join(timeout);

    public void Dispose()
    {
        lock (_handOver)
        {
            while (_handedOver is not null && _handedOver.TryDequeue(out ListeningSocket? socket))
            {
                socket.Dispose();
            }

            _handedOver = null;
        }

        Acceptor.Dispose();
        _wake?.Dispose();
        _epoll.Dispose();
    }

    private void Run()
    {
        if (!_startGate!.Wait())
        {
            Dispose();
            return;
        }

        _managedThreadId = Environment.CurrentManagedThreadId;
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
            _server.OnFault("the acceptor", e);
        }
        finally
        {
            Rates.Stop();
            Dispose();
        }
    }

    /// <summary>Runs a turn. An allocation that fails costs the rest of the turn, and the next turn finds the same work again.</summary>
    private void TryTurn()
    {
        try
        {
            Turn();
        }
        catch (OutOfMemoryException)
        {
            _server.AcceptLoopCounters.AcceptErrors++;

            // This thread has no connections that would wait meanwhile. Without the sleep it would spin.
            Thread.Sleep(Acceptor.PauseMilliseconds);
        }
    }

    private void Turn()
    {
        long now = Clock.Now;
        int timeout = _server.Intake == Intake.Draining ? Math.Min(DrainLookMilliseconds, Rates.Timeout(now)) : Rates.Timeout(now);
        int pause = Acceptor.Timeout(now);
        int n = _epoll.Wait(pause < 0 ? timeout : Math.Min(timeout, pause));
        if (n < 0 && n != -Errno.EINTR)
        {
            throw new EngineException("epoll_wait", -n);
        }

        now = Clock.Now;
        if (Rates.IsDue(now))
        {
            Rates.Sample(now, _server.Accepted, _server.BytesReceived, _server.BytesSent);
            _server.LogLeftOut();
        }

        AddHandedOver(now);
        Acceptor.Advance(now);
        if (_server.Intake == Intake.Draining)
        {
            _server.EndDrain(now);
        }

        for (int i = 0; i < n && !_stopping; i++)
        {
            _ = _epoll.Event(i, out ulong token);
            Acceptor.OnEvent(token, now);
        }
    }

    private void AddHandedOver(long now)
    {
        lock (_handOver)
        {
            while (_handedOver!.TryPeek(out ListeningSocket? socket))
            {
                int errno = Acceptor.Add(socket);
                if (errno != 0)
                {
                    // The cause may be a lack of memory. The socket waits for the next turn, which comes within a second, and its clients
                    // wait in the kernel's queue.
                    Acceptor.CountError(errno, now);
                    return;
                }

                _handedOver.Dequeue();
            }
        }
    }

    private bool Deal(Command command)
    {
        while (!_stopping && _server.Workers.Next() is { } worker)
        {
            if (worker.Post(command))
            {
                return true;
            }

            // A resize has just sent this worker away. The next look finds another one.
        }

        return false;
    }
}
