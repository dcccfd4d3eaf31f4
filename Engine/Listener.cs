using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>
/// The acceptor: a thread with an epoll of its own, on which are the listening sockets and a wake-up. It deals accepted descriptors
/// to the workers; each is the Listener's until a worker's mailbox has taken it. The counters are written by its
/// thread and read by anyone.
/// </summary>
internal sealed unsafe class Listener : IDisposable
{
    /// <summary>
    /// While descriptors or memory have run out: long enough that a full process is left alone, short enough that nobody notices
    /// the end of it. Connects wait in the kernel's queue meanwhile.
    /// </summary>
    internal const int PauseMilliseconds = 100;

    // Accepts from one socket before the others and the clock have their turn.
    private const int AcceptsPerTurn = 256;

    private const int LogInterval = 1000;

    private const ulong WakeToken = ulong.MaxValue;

    private readonly Server _server;
    private readonly ServerOptions _options;
    private readonly IReadOnlyList<Worker> _workers;
    private readonly List<ListeningSocket> _sockets = [];
    private readonly Epoll _epoll;
    private readonly Descriptor _wake;
    private readonly SpareDescriptors _spares = new();
    private readonly RateSampler _rates = new(Clock.Now);
    private readonly Thread _thread;
    private readonly int _connectionLimit;
    private long _accepted;
    private long _rejected;
    private long _errors;
    private int _peak;
    private uint _nextWorker;
    private volatile bool _stopping;
    private long _pausedUntil;
    private long _nextLogAt;
    private long _errorsLogged;
    private int _managedThreadId;

    /// <summary>Binds and listens, so that whoever starts a server can connect to it at once.</summary>
    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    internal Listener(Server server, IReadOnlyList<Worker> workers, int connectionLimit)
    {
        _server = server;
        _options = server.Options;
        _workers = workers;
        _connectionLimit = connectionLimit;
        _epoll = new Epoll(_options.Addresses.Count + 1);
        try
        {
            _wake = EventFd.Open();
            int errno = _spares.Take();
            if (errno != 0)
            {
                throw new EngineException("eventfd", errno);
            }

            Register(_wake.Fd, Epoll.In | Epoll.EdgeTriggered, WakeToken);
            int port = _options.Port;
            foreach (System.Net.IPAddress address in _options.Addresses)
            {
                var socket = ListeningSocket.Open(address, port, _options.Backlog, _options.NoDelay);
                _sockets.Add(socket);

                // Port 0 is one free port, and the same one on all addresses.
                port = socket.EndPoint.Port;
                Register(socket.Fd, Epoll.In, (ulong)_sockets.Count - 1);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        EndPoints = [.. _sockets.Select(socket => socket.EndPoint)];
        _thread = new Thread(Run) { IsBackground = true, Name = $"c10k {_options.Name} accept" };
    }

    internal IReadOnlyList<System.Net.IPEndPoint> EndPoints { get; }

    internal long Accepted => Volatile.Read(ref _accepted);

    internal long Rejected => Volatile.Read(ref _rejected);

    internal long Errors => Volatile.Read(ref _errors);

    internal int PeakConnectionCount => Volatile.Read(ref _peak);

    internal RateSampler Rates => _rates;

    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    internal void Start() => _thread.Start();

    /// <summary>From any thread: the loop ends, its sockets are closed. Connects in the kernel's queue are reset by it.</summary>
    internal void BeginStop()
    {
        _stopping = true;
        try
        {
            EventFd.Signal(_wake);
        }
        catch (ObjectDisposedException)
        {
            // It has ended by itself.
        }
    }

    internal bool Join(TimeSpan timeout) => (_thread.ThreadState & ThreadState.Unstarted) != 0 || _thread.Join(timeout);

    public void Dispose()
    {
        foreach (ListeningSocket socket in _sockets)
        {
            socket.Dispose();
        }

        _spares.Dispose();
        _wake?.Dispose();
        _epoll.Dispose();
    }

    private void Register(int fd, uint interest, ulong token)
    {
        int errno = _epoll.Add(fd, interest, token);
        if (errno != 0)
        {
            throw new EngineException("epoll_ctl", errno);
        }
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
            _rates.Stop();
            Dispose();
        }
    }

    private void Turn()
    {
        long now = Clock.Now;
        int timeout = _rates.Timeout(now);
        if (_pausedUntil != 0)
        {
            timeout = (int)Math.Clamp(_pausedUntil - now, 0, timeout);
        }

        int n = _epoll.Wait(timeout);
        if (n < 0 && n != -Errno.EINTR)
        {
            throw new EngineException("epoll_wait", -n);
        }

        now = Clock.Now;
        _rates.Sample(now, Accepted, _server.BytesReceived, _server.BytesSent);
        if (_pausedUntil != 0 && now >= _pausedUntil)
        {
            Resume(now);
        }

        for (int i = 0; i < n && !_stopping; i++)
        {
            _ = _epoll.Event(i, out ulong token);
            if (token != WakeToken && _pausedUntil == 0)
            {
                AcceptFrom(_sockets[(int)token], now);
            }
        }
    }

    private void AcceptFrom(ListeningSocket socket, long now)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        int fd = socket.Fd;
        for (int i = 0; i < AcceptsPerTurn && !_stopping; i++)
        {
            // The address comes with the connection: getpeername fails when the peer has reset meanwhile (pitfall 17).
            uint length = SockAddr.MaxLength;
            int accepted = Libc.Accept4(fd, address, &length, Sockets.Nonblock | Sockets.Cloexec);
            if (accepted >= 0)
            {
                Deal(accepted, SockAddr.Read(new ReadOnlySpan<byte>(address, (int)Math.Min(length, SockAddr.MaxLength))), socket);
                continue;
            }

            int errno = Errno.Last;
            switch (AcceptErrors.Outcome(errno))
            {
                case AcceptOutcome.Drained:
                    return;
                case AcceptOutcome.Again:
                    break;
                case AcceptOutcome.Skip:
                    CountError(errno, now);
                    break;
                case AcceptOutcome.Pause:
                    _spares.Release();
                    CountError(errno, now);
                    SetInterest(0);
                    _pausedUntil = now + PauseMilliseconds;
                    return;
                default:
                    throw new EngineException("accept4", errno);
            }
        }
    }

    // Not before there is something to spare again.
    private void Resume(long now)
    {
        int errno = _spares.Take();
        if (errno == 0)
        {
            _pausedUntil = 0;
            SetInterest(Epoll.In);
        }
        else
        {
            // The connection that could not be accepted waits still.
            CountError(errno, now);
            _pausedUntil = now + PauseMilliseconds;
        }
    }

    private void Deal(int fd, in SockAddr remote, ListeningSocket socket)
    {
        long accepted = _accepted + 1;
        long open = accepted - _server.Closed;
        if (open > _connectionLimit)
        {
            // A reset says at once what a silent close would leave the client to guess.
            Sockets.ResetOnClose(fd);
            _ = Libc.Close(fd);
            Volatile.Write(ref _rejected, _rejected + 1);
            if (_server.Log.IsEnabled(LogLevel.Debug))
            {
                _server.Log.ConnectionRejected(_options.Name, remote.ToEndPoint(), _connectionLimit);
            }

            return;
        }

        // Counted before a worker can count its end.
        Volatile.Write(ref _accepted, accepted);
        if (open > _peak)
        {
            Volatile.Write(ref _peak, (int)open);
        }

        // Unsigned: a signed counter overflows into a negative index (pitfall 24).
        Worker worker = _workers[(int)(_nextWorker++ % (uint)_workers.Count)];
        if (!worker.Post(new Command(CommandKind.Adopt, fd, remote, socket)))
        {
            _ = Libc.Close(fd);
            Volatile.Write(ref _accepted, _accepted - 1);
        }
    }

    private void CountError(int errno, long now)
    {
        Volatile.Write(ref _errors, _errors + 1);
        if (now >= _nextLogAt)
        {
            _nextLogAt = now + LogInterval;
            _server.Log.AcceptFailed(_options.Name, Errno.Describe(errno), _errors - _errorsLogged);
            _errorsLogged = _errors;
        }
    }

    private void SetInterest(uint interest)
    {
        for (int i = 0; i < _sockets.Count; i++)
        {
            int errno = _epoll.Modify(_sockets[i].Fd, interest, (ulong)i);
            if (errno != 0)
            {
                throw new EngineException("epoll_ctl", errno);
            }
        }
    }
}
