using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Accepts from listening sockets on an epoll: the epoll of the AcceptLoop, of each worker with ReusePort, or of the only worker. It owns
/// the sockets, and each connection that it accepts until the connection is taken. It belongs to the thread of that epoll.
/// </summary>
internal sealed unsafe partial class Acceptor : IDisposable
{
    /// <summary>
    /// How long accepting pauses while descriptors or memory have run out. The pause is long enough that a full process is left alone, and
    /// short enough that nobody notices the delay after the shortage. Connects wait in the kernel's queue meanwhile.
    /// </summary>
    internal const int PauseMilliseconds = 100;

    /// <summary>The first data word that epoll returns for a listening socket. Its slot is one that no connection ever has.</summary>
    internal const ulong FirstToken = 0xFFFF_0000;

    private const ulong Tokens = 0xFFFF;

    // The most accepts from one socket before the other sockets, the clock and, on a worker's loop, the connections have their turn.
    private const int AcceptsPerTurn = 64;

    private readonly Server _server;
    private readonly Epoll _epoll;
    private readonly Counters _counters;
    private readonly Func<Command, bool> _take;

    // The array is replaced as a whole, because Silence reads it on another thread.
    private volatile ListeningSocket[] _sockets = [];
    private readonly List<ListeningSocket> _reserved = [];
    private ulong _lastToken;
    private int _leaving;
    private bool _mustGoOn;
    private Pause _pause;
    private long _pausedUntil;

    // The intake and the pause that the epoll set was last made for; null when the set must be made again whatever has changed.
    private (Intake Intake, Pause Pause)? _watchedFor;
    private volatile bool _drained;
    private volatile bool _silenced;

    /// <param name="server">The server whose limits hold.</param>
    /// <param name="epoll">The epoll on which the sockets are registered.</param>
    /// <param name="counters">The counters of the epoll's thread.</param>
    /// <param name="take">Takes an accepted descriptor, as an Adopt command. Returns false if the descriptor was not taken and still
    /// belongs to the acceptor.</param>
    internal Acceptor(Server server, Epoll epoll, Counters counters, Func<Command, bool> take) =>
        (_server, _epoll, _counters, _take) = (server, epoll, counters, take);

    private enum Pause
    {
        None,

        /// <summary>The rate of accepts is reached. This pause holds for sockets that stay.</summary>
        Rate,

        /// <summary>Descriptors or memory have run out. This pause holds for all sockets.</summary>
        Resources,
    }

    /// <summary>Whether the server drains and this acceptor has nothing left to accept. May be read from any thread.</summary>
    internal bool IsDrained => _drained;

    /// <summary>
    /// Takes a socket over. Called before the thread runs, or on it. Returns 0 if the socket belongs to this acceptor from then on.
    /// Otherwise returns the errno: the socket could not be registered and still belongs to the caller.
    /// </summary>
    internal int Add(ListeningSocket socket)
    {
        ListeningSocket[] sockets = _sockets;
        do
        {
            _lastToken = (_lastToken + 1) % Tokens;
            socket.Token = FirstToken + _lastToken;
            socket.DrainBy = 0;
        }
        while (Array.Exists(sockets, other => other.Token == socket.Token));

        int errno = MayAcceptFrom(socket) ? Watch(socket) : 0;
        if (errno == 0)
        {
            _sockets = [.. sockets, socket];
            _leaving += socket.IsLeaving ? 1 : 0;
            _drained = false;
        }

        return errno;
    }

    /// <summary>Gives the sockets up. Their clients wait until another acceptor has the sockets. Called before the thread runs, or on it.</summary>
    internal ListeningSocket[] Release()
    {
        ListeningSocket[] sockets = _sockets;
        foreach (ListeningSocket socket in sockets)
        {
            int errno = Unwatch(socket);
            Debug.Assert(errno == 0, "a socket that is watched can be taken out");
        }

        _sockets = [];
        _leaving = 0;
        _mustGoOn = false;
        return sockets;
    }

    /// <summary>
    /// Refuses new clients from now on, and frees the port. May be called from any thread, for an acceptor whose own thread is held up.
    /// </summary>
    internal void Silence()
    {
        // The flag is set first, because a silenced socket raises HUP, and a thread that comes back sees the HUP before the stop in its
        // mailbox.
        _silenced = true;
        Array.ForEach(_sockets, static socket => socket.Silence());
    }

    /// <summary>Milliseconds until a pause is over, 0 while a queue must be drained further, or -1 if neither is the case.</summary>
    internal int Timeout(long now) =>
        _mustGoOn ? 0 : _pause == Pause.None ? -1 : (int)Math.Clamp(_pausedUntil - now, 0, int.MaxValue);

    /// <summary>Called at the beginning of a turn. Ends a pause that is over, and does what the server's intake asks for.</summary>
    internal void Advance(long now)
    {
        if (_pause != Pause.None && now >= _pausedUntil)
        {
            EndPause(now);
        }

        bool draining = _server.Intake == Intake.Draining;
        if (draining || _leaving > 0)
        {
            DrainSockets(now);
        }

        if (_sockets.Length > 0)
        {
            SyncInterest(now);
        }
        else if (draining)
        {
            _drained = true;
        }
    }

    /// <summary>Handles an event of the epoll. Returns false when the token does not belong to this acceptor.</summary>
    internal bool OnEvent(ulong token, long now)
    {
        foreach (ListeningSocket socket in _sockets)
        {
            if (socket.Token == token)
            {
                if (!IsDraining(socket) && MayAcceptFrom(socket))
                {
                    AcceptFrom(socket, now, AcceptsPerTurn, atRate: true, out _);
                    SyncInterest(now);
                }

                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Closes the sockets, which resets the connects in the kernel's queue. If another server is to take this one's place, the sockets go
    /// to the handover instead.
    /// </summary>
    public void Dispose()
    {
        if (_server.Handover is { } handover)
        {
            handover.Add([.. Release(), .. _reserved]);
        }
        else
        {
            Array.ForEach(_sockets, static socket => socket.Dispose());
            _reserved.ForEach(static socket => socket.Dispose());
            _sockets = [];
            _mustGoOn = false;
        }

        _reserved.Clear();
        _drained = true;
    }

    // A socket that leaves keeps its queue while the server is suspended.
    private bool IsDraining(ListeningSocket socket) =>
        _server.Intake == Intake.Draining || (socket.IsLeaving && _server.Intake == Intake.Open);

    private bool MayAcceptFrom(ListeningSocket socket) =>
        !_silenced && _pause != Pause.Resources && (IsDraining(socket) || (_pause == Pause.None && _server.Intake == Intake.Open));

    /// <summary>
    /// Takes a turn's worth of clients from the queues of sockets that are to close, and closes each socket whose queue is empty. These
    /// clients have been told that they are connected, so the rate of accepts does not hold for them (pitfall 53).
    /// </summary>
    private void DrainSockets(long now)
    {
        _mustGoOn = false;
        foreach (ListeningSocket socket in _sockets)
        {
            if (!IsDraining(socket))
            {
                socket.DrainBy = 0;
                continue;
            }

            if (socket.DrainBy == 0)
            {
                // No more is taken than a queue can hold, because a flood must not delay the end.
                socket.DrainBy = now + _server.QueuePatience;
                socket.DrainMost = _server.EffectiveBacklog + 1;
            }

            int taken = 0;
            AcceptResult result = MayAcceptFrom(socket)
                ? AcceptFrom(socket, now, Math.Min(AcceptsPerTurn, socket.DrainMost), atRate: false, out taken)
                : AcceptResult.OutOfResources;
            socket.DrainMost -= taken;
            bool late = now >= socket.DrainBy || socket.DrainMost <= 0;
            if (result is AcceptResult.QueueEmpty or AcceptResult.NoTaker || late)
            {
                if (late && result != AcceptResult.QueueEmpty)
                {
                    _server.OnQueueLeft(socket);
                }

                Unwatch(socket);
                _sockets = [.. _sockets.Where(other => other != socket)];
                _leaving -= socket.IsLeaving ? 1 : 0;
                if (!socket.IsLeaving && socket.Reserve())
                {
                    _reserved.Add(socket);
                }
                else
                {
                    socket.Dispose();
                }
            }
            else
            {
                // Epoll may be silent, because the last client of the queue may have been taken with the last accept of the turn.
                _mustGoOn |= result == AcceptResult.TurnOver;
            }
        }
    }

    // The pause does not end before there is something to spare again.
    private void EndPause(long now)
    {
        int errno = _pause == Pause.Resources ? DescriptorReserve.TryTake() : 0;
        if (errno == 0)
        {
            _pause = Pause.None;
        }
        else
        {
            // The connection that could not be accepted still waits.
            CountError(errno, now);
            Rest(Pause.Resources, now + PauseMilliseconds);
        }
    }

    private AcceptResult Rest(Pause pause, long until)
    {
        (_pause, _pausedUntil) = (pause, until);
        return pause == Pause.Rate ? AcceptResult.RateReached : AcceptResult.OutOfResources;
    }

    /// <summary>
    /// Keeps the sockets that may be accepted from in the epoll set, and takes the others out, because a level-triggered socket whose queue
    /// is not served would make the loop spin.
    /// </summary>
    private void SyncInterest(long now)
    {
        var wanted = (_server.Intake, _pause);
        if (_watchedFor == wanted)
        {
            return;
        }

        bool done = true;
        foreach (ListeningSocket socket in _sockets)
        {
            bool watch = MayAcceptFrom(socket);
            if (watch == socket.IsWatched)
            {
                continue;
            }

            int errno = watch ? Watch(socket) : Unwatch(socket);
            if (errno == 0)
            {
                continue;
            }

            if (errno is not (Errno.ENOMEM or Errno.ENOSPC))
            {
                throw new EngineException("epoll_ctl", errno);
            }

            done = false;
            if (watch)
            {
                // This is tried again when the pause is over. The sockets are out of the epoll set until then, so nothing spins.
                CountError(errno, now);
                Rest(Pause.Resources, now + PauseMilliseconds);
            }
        }

        _watchedFor = done ? wanted : null;
    }

    private int Watch(ListeningSocket socket)
    {
        int errno = _epoll.Add(socket.Fd, Epoll.In, socket.Token);
        socket.IsWatched = errno == 0;
        return errno;
    }

    private int Unwatch(ListeningSocket socket)
    {
        int errno = socket.IsWatched ? _epoll.Delete(socket.Fd) : 0;
        socket.IsWatched &= errno != 0;
        return errno;
    }

    /// <summary>Takes connections from a socket's queue, and returns the reason why it stops.</summary>
    /// <param name="socket">The socket to accept from.</param>
    /// <param name="now">The turn's time.</param>
    /// <param name="most">How many connections to take.</param>
    /// <param name="atRate">Whether the server's rate of accepts holds.</param>
    /// <param name="taken">How many connections were taken from the queue, including the connections that a limit turned away.</param>
    private AcceptResult AcceptFrom(ListeningSocket socket, long now, int most, bool atRate, out int taken)
    {
        byte* address = stackalloc byte[SockAddr.MaxLength];
        int fd = socket.Fd;
        int perSecond = atRate ? _server.Options.AcceptRate : 0;
        for (taken = 0; taken < most; taken++)
        {
            if (atRate && _server.Intake != Intake.Open)
            {
                // The server was suspended in the middle of the turn. The rest stays in the queue.
                return AcceptResult.TurnOver;
            }

            if (perSecond > 0 && _server.AcceptRates.Take(perSecond, now) is > 0 and var wait)
            {
                return Rest(Pause.Rate, now + wait);
            }

            if (!HasRoom(now))
            {
                return Rest(Pause.Resources, now + PauseMilliseconds);
            }

            // The address comes with the connection, because getpeername fails when the peer has reset the connection meanwhile (pitfall
            // 17).
            uint length = SockAddr.MaxLength;
            int accepted = Libc.Accept4(fd, address, &length, Sockets.Nonblock | Sockets.Cloexec);
            if (accepted >= 0)
            {
                _room--;
                if (!Deal(accepted, SockAddr.Read(new ReadOnlySpan<byte>(address, (int)Math.Min(length, SockAddr.MaxLength))), socket))
                {
                    return AcceptResult.NoTaker;
                }

                continue;
            }

            int errno = Errno.Last;
            switch (AcceptErrors.Outcome(errno))
            {
                case AcceptOutcome.Drained:
                    return AcceptResult.QueueEmpty;
                case AcceptOutcome.Again:
                    break;
                case AcceptOutcome.Skip:
                    CountError(errno, now);
                    break;
                case AcceptOutcome.Pause:
                    DescriptorReserve.Release();
                    CountError(errno, now);
                    return Rest(Pause.Resources, now + PauseMilliseconds);
                default:
                    throw new EngineException("accept4", errno);
            }
        }

        return AcceptResult.TurnOver;
    }
}
