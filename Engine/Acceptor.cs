using System.Diagnostics;
using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>Whether a server takes new connections.</summary>
internal enum Intake
{
    /// <summary>Yes.</summary>
    Open,

    /// <summary>They wait in the kernel's queue.</summary>
    Suspended,

    /// <summary>Those in the kernel's queue, and then no more.</summary>
    Draining,
}

/// <summary>
/// Accepts from listening sockets on somebody's epoll: the Listener's, each worker's with ReusePort, or the only worker's. Owns the
/// sockets, and what it accepts until that is taken. Belongs to the thread of that epoll.
/// </summary>
internal sealed unsafe class Acceptor : IDisposable
{
    /// <summary>
    /// While descriptors or memory have run out: long enough that a full process is left alone, short enough that nobody notices
    /// the end of it. Connects wait in the kernel's queue meanwhile.
    /// </summary>
    internal const int PauseMilliseconds = 100;

    /// <summary>What epoll gives back for a listening socket: a slot that no connection ever has.</summary>
    internal const ulong FirstToken = 0xFFFF_0000;

    // Accepts from one socket before the others, the clock and, on a worker's loop, the connections have their turn.
    private const int AcceptsPerTurn = 64;

    private const int LogInterval = 1000;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Counters _counters;
    private readonly Func<Command, bool> _take;

    // Replaced as a whole, for who silences them from another thread.
    private volatile ListeningSocket[] _sockets = [];
    private uint _interest = Epoll.In;
    private long _pausedUntil;
    private long _nextLogAt;

    // Since they were last logged.
    private long _errors;
    private volatile bool _drained;

    /// <param name="server">Whose limits hold.</param>
    /// <param name="epoll">Where the sockets are registered.</param>
    /// <param name="counters">Those of the epoll's thread.</param>
    /// <param name="take">Takes an accepted descriptor, as an Adopt command. False: it does not, and it is still the acceptor's.</param>
    internal Acceptor(Server server, Epoll epoll, Counters counters, Func<Command, bool> take) =>
        (_server, _epoll, _counters, _take) = (server, epoll, counters, take);

    /// <summary>From any thread: there is nothing left that it could accept.</summary>
    internal bool IsDrained => _drained;

    private bool IsAccepting => _server.Intake == Intake.Open && _pausedUntil == 0;

    /// <summary>
    /// 0: from then on the socket is this acceptor's. Or the errno: it could not be registered, and is still the caller's. Before the
    /// thread runs, or on it.
    /// </summary>
    internal int Add(ListeningSocket socket)
    {
        int errno = _epoll.Add(socket.Fd, _interest, FirstToken + (ulong)_sockets.Length);
        if (errno == 0)
        {
            _sockets = [.. _sockets, socket];
            _drained = false;
        }

        return errno;
    }

    /// <summary>Gives the sockets up: nobody accepts from them until another acceptor has them. Before the thread runs, or on it.</summary>
    internal ListeningSocket[] Release()
    {
        ListeningSocket[] sockets = _sockets;
        foreach (ListeningSocket socket in sockets)
        {
            int errno = _epoll.Delete(socket.Fd);
            Debug.Assert(errno == 0, "a socket that is accepted from is registered");
        }

        _sockets = [];
        return sockets;
    }

    /// <summary>From any thread, for an acceptor whose own is held up: new clients are refused from now on, and the port is free.</summary>
    internal void Silence() => Array.ForEach(_sockets, static socket => socket.Silence());

    /// <summary>Milliseconds until a pause is over; -1 where there is none.</summary>
    internal int Timeout(long now) => _pausedUntil == 0 ? -1 : (int)Math.Clamp(_pausedUntil - now, 0, int.MaxValue);

    /// <summary>At the beginning of a turn: ends a pause that is over, and does what the server's intake asks for.</summary>
    internal void Advance(long now)
    {
        if (_pausedUntil != 0 && now >= _pausedUntil)
        {
            EndPause(now);
        }

        if (_server.Intake == Intake.Draining && !_drained)
        {
            Drain(now);
        }

        SyncInterest();
    }

    /// <summary>For an event of epoll's. False when the token is none of this acceptor's.</summary>
    internal bool OnEvent(ulong token, long now)
    {
        ListeningSocket[] sockets = _sockets;
        if (token - FirstToken >= (ulong)sockets.Length)
        {
            return false;
        }

        if (IsAccepting)
        {
            AcceptFrom(sockets[(int)(token - FirstToken)], now);
            SyncInterest();
        }

        return true;
    }

    /// <summary>Accepts what is in the kernel's queue, whose clients have been told that they are connected, and closes the sockets.</summary>
    internal void Drain(long now)
    {
        // No more than a queue can hold: a flood must not put the end off.
        foreach (ListeningSocket socket in _sockets)
        {
            for (int left = _server.EffectiveBacklog; left > 0 && AcceptFrom(socket, now); left -= AcceptsPerTurn)
            {
            }
        }

        _drained = true;
        Dispose();
    }

    /// <summary>Closes the sockets. Connects in the kernel's queue are reset by it.</summary>
    public void Dispose()
    {
        Array.ForEach(_sockets, static socket => socket.Dispose());
        _sockets = [];
    }

    // Not before there is something to spare again.
    private void EndPause(long now)
    {
        int errno = SpareDescriptors.TryTake();
        if (errno == 0)
        {
            _pausedUntil = 0;
        }
        else
        {
            // The connection that could not be accepted waits still.
            CountError(errno, now);
            _pausedUntil = now + PauseMilliseconds;
        }
    }

    // Level-triggered: while accepting pauses, readiness is not asked for, or the loop would spin.
    private void SyncInterest()
    {
        uint wanted = IsAccepting ? Epoll.In : 0;
        if (wanted == _interest)
        {
            return;
        }

        for (int i = 0; i < _sockets.Length; i++)
        {
            int errno = _epoll.Modify(_sockets[i].Fd, wanted, FirstToken + (ulong)i);
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

    /// <summary>True when there may be more.</summary>
    private bool AcceptFrom(ListeningSocket socket, long now)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        int fd = socket.Fd;
        int perSecond = _server.Options.AcceptRate;
        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            if (perSecond > 0 && _server.AcceptRates.Take(perSecond, now) is > 0 and var wait)
            {
                _pausedUntil = now + wait;
                return false;
            }

            if (!SpareDescriptors.AreHeld)
            {
                // Another acceptor of the process has met the limit: what it let go is not for connections.
                _pausedUntil = now + PauseMilliseconds;
                return false;
            }

            // The address comes with the connection: getpeername fails when the peer has reset meanwhile (pitfall 17).
            uint length = SockAddr.MaxLength;
            int accepted = Libc.Accept4(fd, address, &length, Sockets.Nonblock | Sockets.Cloexec);
            if (accepted >= 0)
            {
                if (!Deal(accepted, SockAddr.Read(new ReadOnlySpan<byte>(address, (int)Math.Min(length, SockAddr.MaxLength))), socket))
                {
                    return false;
                }

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
                    SpareDescriptors.Release();
                    CountError(errno, now);
                    _pausedUntil = now + PauseMilliseconds;
                    return false;
                default:
                    throw new EngineException("accept4", errno);
            }
        }

        return true;
    }

    /// <summary>False when nobody takes connections any more: the server is at its end.</summary>
    private bool Deal(int fd, in SockAddr remote, ListeningSocket socket)
    {
        int perAddress = _server.Options.MaxConnectionsPerAddress;
        if (!_server.Admission.TryEnter(remote, _server.ConnectionLimit, perAddress, out int reached))
        {
            Reject(fd, remote, reached);
            return true;
        }

        // Counted before a worker can count the connection's end.
        Volatile.Write(ref _counters.Accepted, _counters.Accepted + 1);
        if (_take(new Command(CommandKind.Adopt, fd, remote, socket, perAddress > 0 ? 1 : 0)))
        {
            return true;
        }

        _ = Libc.Close(fd);
        Volatile.Write(ref _counters.Accepted, _counters.Accepted - 1);
        _server.Admission.Leave(remote, perAddress > 0);
        return false;
    }

    // A reset says at once what a silent close would leave the client to guess.
    private void Reject(int fd, in SockAddr remote, int limit)
    {
        Sockets.ResetOnClose(fd);
        _ = Libc.Close(fd);
        Volatile.Write(ref _counters.Rejected, _counters.Rejected + 1);
        if (_server.Log.IsEnabled(LogLevel.Debug))
        {
            _server.Log.ConnectionRejected(_server.Options.Name, remote.ToEndPoint(), limit);
        }
    }

    internal void CountError(int errno, long now)
    {
        _counters.AcceptErrors++;
        _errors++;
        if (now >= _nextLogAt)
        {
            _nextLogAt = now + LogInterval;
            _server.Log.AcceptFailed(_server.Options.Name, Errno.Describe(errno), _errors);
            _errors = 0;
        }
    }
}
