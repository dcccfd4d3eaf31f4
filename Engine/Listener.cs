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
    private readonly List<ListeningSocket> _sockets = [];
    private readonly Epoll _epoll;
    private readonly Descriptor _wake;
    private readonly RateSampler _rates = new(Clock.Now);
    private readonly AcceptRateLimiter _rateLimiter = new(Clock.Now);
    private readonly Thread _thread;
    private long _accepted;
    private long _rejected;
    private long _errors;
    private int _peak;
    private volatile bool _stopping;
    private volatile bool _suspended;
    private volatile bool _draining;
    private bool _drained;
    private uint _interest = Epoll.In;
    private long _pausedUntil;
    private long _nextLogAt;
    private long _errorsLogged;
    private int _managedThreadId;

    /// <summary>Binds and listens, so that whoever starts a server can connect to it at once.</summary>
    /// <exception cref="ServerStartException">Nothing is left behind.</exception>
    internal Listener(Server server)
    {
        _server = server;
        ServerOptions options = server.Options;
        _epoll = new Epoll(options.Addresses.Count + 1);
        try
        {
            _wake = EventFd.Open();
            Register(_wake.Fd, Epoll.In | Epoll.EdgeTriggered, WakeToken);
            int port = options.Port;
            foreach (System.Net.IPAddress address in options.Addresses)
            {
                var socket = ListeningSocket.Open(address, port, options);
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
        _thread = new Thread(Run) { IsBackground = true, Name = $"c10k {options.Name} accept" };
    }

    internal IReadOnlyList<System.Net.IPEndPoint> EndPoints { get; }

    internal long Accepted => Volatile.Read(ref _accepted);

    internal long Rejected => Volatile.Read(ref _rejected);

    internal long Errors => Volatile.Read(ref _errors);

    internal int PeakConnectionCount => Volatile.Read(ref _peak);

    internal RateSampler Rates => _rates;

    internal bool IsCurrent => Environment.CurrentManagedThreadId == _managedThreadId;

    internal void Start() => _thread.Start();

    /// <summary>From any thread: accepting pauses; connects wait in the kernel's queue.</summary>
    internal void Suspend()
    {
        _suspended = true;
        Wake();
    }

    /// <summary>From any thread.</summary>
    internal void Resume()
    {
        _suspended = false;
        Wake();
    }

    /// <summary>From any thread: what is in the kernel's queue is still accepted, then the sockets are closed for good.</summary>
    internal void BeginDrain()
    {
        _draining = true;
        Wake();
    }

    /// <summary>From any thread: the loop ends, its sockets are closed. Connects in the kernel's queue are reset by it.</summary>
    internal void BeginStop()
    {
        _stopping = true;
        Wake();
    }

    internal bool Join(TimeSpan timeout) => (_thread.ThreadState & ThreadState.Unstarted) != 0 || _thread.Join(timeout);

    public void Dispose()
    {
        CloseSockets();
        _wake?.Dispose();
        _epoll.Dispose();
    }

    private void CloseSockets()
    {
        foreach (ListeningSocket socket in _sockets)
        {
            socket.Dispose();
        }

        _sockets.Clear();
    }

    private void Wake()
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
            _pausedUntil = 0;
        }

        if (_draining)
        {
            Drain(now);
        }

        SyncInterest();
        for (int i = 0; i < n && !_stopping; i++)
        {
            _ = _epoll.Event(i, out ulong token);
            if (token < (ulong)_sockets.Count && IsAccepting)
            {
                AcceptFrom(_sockets[(int)token], now);
            }
        }

        SyncInterest();
    }

    private bool IsAccepting => !_suspended && _pausedUntil == 0;

    // Level-triggered: while accepting pauses, readiness is not asked for, or the loop would spin.
    private void SyncInterest()
    {
        uint wanted = IsAccepting ? Epoll.In : 0;
        if (wanted == _interest)
        {
            return;
        }

        for (int i = 0; i < _sockets.Count; i++)
        {
            int errno = _epoll.Modify(_sockets[i].Fd, wanted, (ulong)i);
            if (errno == Errno.ENOMEM)
            {
                // Perhaps just what accepting pauses for. The next turn tries again; sockets that stay ready must not make it spin.
                Thread.Sleep(PauseMilliseconds);
                return;
            }

            if (errno != 0)
            {
                throw new EngineException("epoll_ctl", errno);
            }
        }

        _interest = wanted;
    }

    private void Drain(long now)
    {
        if (_drained)
        {
            return;
        }

        // Their clients have been told that they are connected. No more than the queue can hold: a flood must not put the end off.
        foreach (ListeningSocket socket in _sockets)
        {
            for (int left = _server.EffectiveBacklog; left > 0 && AcceptFrom(socket, now); left -= AcceptsPerTurn)
            {
            }
        }

        _drained = true;
        CloseSockets();
    }

    /// <summary>True when there may be more.</summary>
    private bool AcceptFrom(ListeningSocket socket, long now)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        int fd = socket.Fd;
        int perSecond = _server.Options.AcceptRate;
        for (int i = 0; i < AcceptsPerTurn && !_stopping; i++)
        {
            if (perSecond > 0 && _rateLimiter.Take(perSecond, now) is > 0 and var wait)
            {
                _pausedUntil = now + wait;
                return false;
            }

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
                    return false;
                case AcceptOutcome.Again:
                    break;
                case AcceptOutcome.Skip:
                    CountError(errno, now);
                    break;
                case AcceptOutcome.Pause:
                    CountError(errno, now);
                    _pausedUntil = now + PauseMilliseconds;
                    return false;
                default:
                    throw new EngineException("accept4", errno);
            }
        }

        return true;
    }

    private void Deal(int fd, in SockAddr remote, ListeningSocket socket)
    {
        ServerOptions options = _server.Options;
        long accepted = _accepted + 1;
        long open = accepted - _server.Closed;
        if (open > _server.ConnectionLimit)
        {
            Reject(fd, remote, _server.ConnectionLimit);
            return;
        }

        bool perAddress = options.MaxConnectionsPerAddress > 0;
        if (perAddress && !_server.Addresses.TryTake(remote, options.MaxConnectionsPerAddress))
        {
            Reject(fd, remote, options.MaxConnectionsPerAddress);
            return;
        }

        // Counted before a worker can count its end.
        Volatile.Write(ref _accepted, accepted);
        if (open > _peak)
        {
            Volatile.Write(ref _peak, (int)open);
        }

        var command = new Command(CommandKind.Adopt, fd, remote, socket, perAddress ? 1 : 0);
        while (_server.Workers.Next() is { } worker)
        {
            if (worker.Post(command))
            {
                return;
            }

            // A resize has just sent that one away: the next look finds another. A server that ends has none that takes it.
            if (_stopping)
            {
                break;
            }
        }

        _ = Libc.Close(fd);
        Volatile.Write(ref _accepted, _accepted - 1);
    }

    // A reset says at once what a silent close would leave the client to guess.
    private void Reject(int fd, in SockAddr remote, int limit)
    {
        Sockets.ResetOnClose(fd);
        _ = Libc.Close(fd);
        Volatile.Write(ref _rejected, _rejected + 1);
        if (_server.Log.IsEnabled(LogLevel.Debug))
        {
            _server.Log.ConnectionRejected(_server.Options.Name, remote.ToEndPoint(), limit);
        }
    }

    private void CountError(int errno, long now)
    {
        Volatile.Write(ref _errors, _errors + 1);
        if (now >= _nextLogAt)
        {
            _nextLogAt = now + LogInterval;
            _server.Log.AcceptFailed(_server.Options.Name, Errno.Describe(errno), _errors - _errorsLogged);
            _errorsLogged = _errors;
        }
    }
}
