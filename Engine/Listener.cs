using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The acceptor's thread, with an epoll of its own, on which are the listening sockets and a wake-up. It deals accepted descriptors
/// to the workers; each is the Listener's until a worker's mailbox has taken it. With ReusePort the sockets are the workers', and it
/// samples the rates alone.
/// </summary>
internal sealed class Listener : IDisposable
{
    private const int EventsPerTurn = 64;

    private const ulong WakeToken = ulong.MaxValue;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Descriptor _wake;
    private readonly Thread _thread;
    private volatile bool _stopping;
    private int _managedThreadId;

    /// <exception cref="EngineException">Descriptors are used up; nothing is left behind.</exception>
    internal Listener(Server server)
    {
        _server = server;
        _epoll = new Epoll(EventsPerTurn);
        Acceptor = new Acceptor(server, _epoll, server.ListenerCounters, Deal);
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

        _thread = new Thread(Run) { IsBackground = true, Name = $"c10k {server.Options.Name} accept" };
    }

    internal Acceptor Acceptor { get; }

    internal RateSampler Rates { get; } = new(Clock.Now);

    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    internal void Start() => _thread.Start();

    /// <summary>From any thread: the server's intake has changed.</summary>
    internal void Wake()
    {
        try
        {
            EventFd.Signal(_wake);
        }
        catch (ObjectDisposedException)
        {
            // It has ended by itself.
        }
    }

    /// <summary>From any thread: the loop ends, its sockets are closed.</summary>
    internal void BeginStop()
    {
        _stopping = true;
        Wake();
    }

    internal bool Join(TimeSpan timeout) => (_thread.ThreadState & ThreadState.Unstarted) != 0 || _thread.Join(timeout);

    public void Dispose()
    {
        Acceptor.Dispose();
        _wake?.Dispose();
        _epoll.Dispose();
    }

    private void Run()
    {
        _managedThreadId = Environment.CurrentManagedThreadId;
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
            _server.OnFault("the acceptor", e);
        }
        finally
        {
            Rates.Stop();
            Dispose();
        }
    }

    private void Turn()
    {
        long now = Clock.Now;
        int timeout = Rates.Timeout(now);
        int pause = Acceptor.Timeout(now);
        int n = _epoll.Wait(pause < 0 ? timeout : Math.Min(timeout, pause));
        if (n < 0 && n != -Errno.EINTR)
        {
            throw new EngineException("epoll_wait", -n);
        }

        now = Clock.Now;
        if (Rates.Sample(now, _server.Accepted, _server.BytesReceived, _server.BytesSent))
        {
            _server.LogLeftOut();
        }

        Acceptor.Advance(now);
        for (int i = 0; i < n && !_stopping; i++)
        {
            _ = _epoll.Event(i, out ulong token);
            Acceptor.OnEvent(token, now);
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

            // A resize has just sent that one away: the next look finds another.
        }

        return false;
    }
}
