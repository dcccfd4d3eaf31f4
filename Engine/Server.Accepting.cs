using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// The addresses on which a server listens, and the state that its acceptors follow.
public sealed partial class Server
{
    // The milliseconds between two tries to end a server that has drained.
    private const int EndDrainInterval = 1000;

    private volatile SocketHandover? _handover;
    private long _endDrainAt;

    /// <summary>
    /// Whether everything that was in the kernel's queue is accepted and every connection has ended, after <see cref="BeginDrain"/>. The
    /// count alone does not say so, because it may be 0 before the acceptors have had their turn.
    /// </summary>
    public bool IsDrained =>
        // The accept loop is asked last, because it has what a worker has given to it by then.
        _state == ServerState.Draining
        && Workers.AreDrained
        && _acceptLoop!.IsDrained
        && ConnectionCount == 0;

    /// <summary>
    /// Called once the server has drained, on a thread of its own, and called again each second while the server is still draining then. It
    /// ends the server; by default <see cref="Stop"/> does.
    /// </summary>
    public Action? Drained { get; set; }

    /// <summary>The handover that gets the acceptors' sockets at the end; null if the acceptors close them.</summary>
    internal SocketHandover? Handover => _handover;

    /// <summary>Milliseconds for which a drain tries to accept what waits in the kernel's queue. Then the queue is given up.</summary>
    internal int QueuePatience { get; set; } = 10_000;

    /// <summary>Whether the acceptors take new connections. They read it at each of their turns.</summary>
    internal Intake Intake => _intake;

    /// <summary>The tickets of the connections that there may be.</summary>
    internal Admission Admission { get; } = new();

    internal AcceptRateLimiter AcceptRates { get; } = new(Clock.Now);

    /// <summary>Gives a worker sockets of its own with ReusePort, once their addresses are known. Called before the worker's thread runs.</summary>
    internal void GiveSockets(Worker worker, SocketHandover? from = null)
    {
        if (Options.Dispatch != DispatchMode.ReusePort || _intake == Intake.Draining)
        {
            return;
        }

        foreach (IPEndPoint endPoint in EndPoints.Cast<IPEndPoint>())
        {
            Add(
                worker.Acceptor,
                TakeOver(from, endPoint) ?? ListeningSocket.Open(endPoint.Address, endPoint.Port, Options, reusePort: true));
        }
    }

    /// <summary>Called on the thread of a worker that accepts no more. The AcceptLoop accepts instead.</summary>
    /// <param name="sockets">The worker's sockets.</param>
    /// <param name="leaving">Whether the sockets are closed once their queues are served, because the worker leaves.</param>
    internal void ReturnSockets(ListeningSocket[] sockets, bool leaving)
    {
        Array.ForEach(sockets, socket => socket.IsLeaving = leaving);
        _acceptLoop!.TakeOver(sockets);
    }

    /// <summary>
    /// Called on the AcceptLoop's thread at each turn of a drain. The server ends by itself, because nobody may be waiting for the drain's
    /// end any more. Another thread stops the server, because <see cref="Stop"/> waits for this one.
    /// </summary>
    internal void EndDrain(long now)
    {
        if (now < _endDrainAt || !IsDrained)
        {
            return;
        }

        _endDrainAt = now + EndDrainInterval;
        try
        {
            new EngineThread($"c10k {Options.Name} end", StopDrained, e => OnFault("the end of a drain", e)).Start();
        }
        catch (Exception e) when (e is EngineException or OutOfMemoryException)
        {
            // The process can have no further thread, or no memory, just now. The next look tries again.
            Log.DrainNotEnded(Options.Name, e);
        }
    }

    /// <summary>Called on an acceptor's thread when a queue is given up. The close that follows resets its clients.</summary>
    internal void OnQueueLeft(ListeningSocket socket)
    {
        int? waiting = socket.CountWaiting();
        if (waiting != 0)
        {
            string clients = waiting switch { null => "clients", 1 => "1 client", _ => $"{waiting} clients" };
            Log.QueueLeft(Options.Name, clients, socket.EndPoint);
        }
    }

    /// <summary>
    /// Opens everything that the options name. With ReusePort, the first worker has the sockets that are opened first, and the sockets of
    /// the other workers join them.
    /// </summary>
    /// <param name="acceptor">The acceptor that gets the sockets, except with ReusePort.</param>
    /// <param name="from">The sockets of the server whose place this one takes.</param>
    private void Listen(Acceptor acceptor, SocketHandover? from)
    {
        bool shared = Options.Dispatch == DispatchMode.ReusePort;
        var endPoints = new List<EndPoint>();
        List<ListeningSocket> sockets = OpenAddresses(from);
        try
        {
            foreach (ListeningSocket socket in sockets)
            {
                endPoints.Add(socket.EndPoint);
                Add(shared ? Workers.Current[0].Acceptor : acceptor, socket);
                if (shared)
                {
                    socket.Share();
                }
            }
        }
        catch
        {
            // The sockets that the acceptor has are closed twice, and the second close does nothing.
            sockets.ForEach(static socket => socket.Dispose());
            throw;
        }

        if (Options.UnixPath is { } path)
        {
            Add(acceptor, TakeOver(from, new UnixEndPoint(path)) ?? ListeningSocket.OpenUnix(path, Options));
            endPoints.Add(new UnixEndPoint(path));
        }

        foreach (int fd in Options.Inherited)
        {
            ListeningSocket socket = ListeningSocket.Adopt(fd, Options);
            Add(acceptor, socket);
            endPoints.Add(socket.EndPoint);
        }

        if (Options.MaxConnectionsPerAddress > 0 && !endPoints.OfType<IPEndPoint>().Any())
        {
            throw new ServerStartException(StartFailure.Other, ServerOptions.NoClientHasAnAddress);
        }

        EndPoints = endPoints;
        if (shared)
        {
            foreach (Worker worker in Workers.Current.Skip(1))
            {
                GiveSockets(worker, from);
            }
        }
    }

    /// <summary>Takes a socket that another server has left for this one, and makes it listen; null if there is none.</summary>
    private ListeningSocket? TakeOver(SocketHandover? from, EndPoint endPoint)
    {
        while (from?.Take(endPoint) is { } socket)
        {
            socket.IsLeaving = false;
            if (socket.ListenAgain(Options) == 0)
            {
                return socket;
            }

            socket.Dispose();
        }

        return null;
    }

    private void StopDrained()
    {
        try
        {
            if (Drained is { } end)
            {
                end();
            }
            else
            {
                Stop();
            }
        }
        catch (Exception e)
        {
            // An exception on this thread would end the user's process (pitfall 44). The next look tries again.
            Log.DrainNotEnded(Options.Name, e);
        }
    }

    /// <summary>
    /// Opens a socket for each address, all on one port. If the kernel is to choose the port (port 0), it looks at the first address alone,
    /// so the port may be in use on another address. Then some more ports are tried.
    /// </summary>
    private List<ListeningSocket> OpenAddresses(SocketHandover? from)
    {
        const int Tries = 16;
        var sockets = new List<ListeningSocket>();
        for (int left = Options.Port == 0 ? Tries : 1; ; left--)
        {
            try
            {
                int port = Options.Port;
                foreach (IPAddress address in Options.Addresses)
                {
                    ListeningSocket socket = TakeOver(from, new IPEndPoint(address, port)) ?? ListeningSocket.Open(address, port, Options);
                    sockets.Add(socket);
                    port = ((IPEndPoint)socket.EndPoint).Port;
                }

                return sockets;
            }
            catch (ServerStartException e)
            {
                bool another = e.Failure == StartFailure.PortInUse && sockets.Count > 0 && left > 1;
                sockets.ForEach(static socket => socket.Dispose());
                sockets.Clear();
                if (!another)
                {
                    throw;
                }
            }
        }
    }

    /// <summary>
    /// Called when the start has succeeded and the server's own descriptors hold the sockets that were passed in. If the descriptors that
    /// were passed in were closed earlier, the sockets would be lost to the next start after a start that fails.
    /// </summary>
    private void CloseInherited()
    {
        foreach (int fd in Options.Inherited)
        {
            _ = Libc.Close(fd);
        }
    }

    private static void Add(Acceptor acceptor, ListeningSocket socket)
    {
        int errno = acceptor.Add(socket);
        if (errno != 0)
        {
            socket.Dispose();
            throw new EngineException("epoll_ctl", errno);
        }
    }

    private void SetIntake(Intake intake)
    {
        _intake = intake;
        _acceptLoop!.Wake();

        // With ReusePort the workers accept. The command wakes them, whatever else it does.
        Workers.Post(new Command(CommandKind.Configure));
    }
}
