using System.Management.Automation;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Commands;

/// <summary>
/// A connection to a server of this process, made to test whether the server takes it. A successful connect proves little, because the kernel
/// completes it for the server as long as there is room in the queue. Therefore the server is asked whether it has the connection.
/// </summary>
internal sealed class Probe(Server server, Patience patience, CancellationToken stop) : IDisposable
{
    // How long the orderly end of the connection may take. A handler that goes on sending would never end it.
    private static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(1);

    private readonly long _lastId = Engine.Server.LastConnectionId;
    private readonly long _accepted = server.Accepted;
    private readonly long _rejected = server.Rejected;
    private Socket? _socket;
    private long? _id;

    /// <summary>The result of the test, in words.</summary>
    internal string Result { get; private set; } = "";

    /// <summary>Connects, and asks the server. Returns null if this process cannot open a socket.</summary>
    /// <exception cref="PipelineStoppedException">The user pressed Ctrl+C.</exception>
    internal bool? Run()
    {
        if (server.State != ServerState.Running)
        {
            return No($"it is {server.State}");
        }

        if (Reachable(server.EndPoint!) is not EndPoint target)
        {
            return No(LocalTarget.None);
        }

        try
        {
            if (!Connect(target))
            {
                return No("the connection was not made in time");
            }
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable)
        {
            Result = e.Message;
            return null;
        }
        catch (SocketException e)
        {
            return No(e.Message);
        }

        do
        {
            if (IsTaken())
            {
                Result = "it took the connection";
                Close();
                return true;
            }

            if (server.State != ServerState.Running)
            {
                return No($"it is {server.State}");
            }

            if (server.Rejected > _rejected && IsEnded())
            {
                return No("it is at a limit and turned the connection away");
            }
        }
        while (patience.Wait(() => (Stand("Connected, not accepted yet"), -1)));
        return No("the connection was made, and not accepted in time");
    }

    public void Dispose() => _socket?.Dispose();

    private bool No(string why)
    {
        Result = why;
        return false;
    }

    private string Stand(string step) => $"{step}; {server.Name} has {Messages.Connections(server.ConnectionCount)}";

    /// <summary>The address at which the server can be reached from this process. Null if there is none.</summary>
    private EndPoint? Reachable(EndPoint endPoint) => endPoint switch
    {
        IPEndPoint ip => LocalTarget.For(ip.Address, server.Options.DualMode) is IPAddress address ? new IPEndPoint(address, ip.Port) : null,
        Engine.UnixEndPoint unix => new UnixDomainSocketEndPoint(unix.Path),
        _ => endPoint,
    };

    /// <summary>Connects. Returns false if the time is over.</summary>
    /// <exception cref="SocketException">The connection was refused.</exception>
    private bool Connect(EndPoint endPoint)
    {
        bool tcp = endPoint is IPEndPoint;
        do
        {
            _socket?.Dispose();
            _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, tcp ? ProtocolType.Tcp : ProtocolType.Unspecified) { Blocking = false };
            try
            {
                _socket.Connect(endPoint);
                return true;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
            {
                // Over TCP the connect is now under way. For a Unix domain socket whose queue is full, the connect must be repeated.
                if (tcp)
                {
                    return AwaitConnected(_socket);
                }
            }
        }
        while (patience.Wait(() => (Stand("Connecting"), -1)));
        return false;
    }

    private bool AwaitConnected(Socket socket)
    {
        while (!socket.Poll(0, SelectMode.SelectWrite))
        {
            if (!patience.Wait(() => (Stand("Connecting"), -1)))
            {
                return false;
            }
        }

        var error = (SocketError)(int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        return error == SocketError.Success ? true : throw new SocketException((int)error);
    }

    private bool IsTaken()
    {
        if (_socket!.LocalEndPoint is not IPEndPoint local)
        {
            // A client of a Unix domain socket has no address to recognise it by. The queue is in order, so an accepted connection is a good
            // sign.
            return server.Accepted > _accepted;
        }

        long last = Engine.Server.LastConnectionId;
        if (last == _lastId)
        {
            return false;
        }

        // The port alone would identify an open connection. Among the connections that have ended, an earlier one may have had the same port.
        HashSet<long> since = [];
        for (long id = _lastId + 1; id <= last; id++)
        {
            since.Add(id);
        }

        using Engine.ConnectionWalk walk = server.Walk(new Engine.ConnectionQuery { Ids = since });
        while (Take(walk) is { } rows)
        {
            if (rows.FirstOrDefault(row => row.RemoteEndPoint.Equals(local)) is { } own)
            {
                _id = own.Id;
                return true;
            }
        }

        return server.GetClosed().Any(row => since.Contains(row.Id) && row.RemoteEndPoint.Equals(local));
    }

    private IReadOnlyList<Engine.ConnectionInfo>? Take(Engine.ConnectionWalk walk)
    {
        try
        {
            return walk.TryTake(patience.Left, stop, out IReadOnlyList<Engine.ConnectionInfo>? rows) ? rows : null;
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
    }

    /// <summary>Whether the server has ended the connection, with a reset or, if it is not TCP, with an ordinary end.</summary>
    private bool IsEnded()
    {
        try
        {
            return _socket!.Poll(0, SelectMode.SelectRead) && _socket.Receive(new byte[1], SocketFlags.Peek) == 0;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    /// <summary>Shuts down sending, reads until the server's end, and waits until the server has ended the connection.</summary>
    private void Close()
    {
        long deadline = Environment.TickCount64 + (long)ClosingTime.TotalMilliseconds;
        try
        {
            _socket!.Shutdown(SocketShutdown.Send);
            byte[] rest = new byte[4096];
            while (Environment.TickCount64 < deadline)
            {
                if (!_socket.Poll(0, SelectMode.SelectRead))
                {
                    Pause();
                }
                else if (_socket.Receive(rest) == 0)
                {
                    break;
                }
            }
        }
        catch (SocketException)
        {
            // The server's handler has ended the connection in its own way.
        }

        _socket!.Dispose();
        while (_id is long id && Environment.TickCount64 < deadline && server.GetClosed().All(row => row.Id != id))
        {
            Pause();
        }
    }

    private void Pause()
    {
        if (stop.WaitHandle.WaitOne(1))
        {
            throw new PipelineStoppedException();
        }
    }
}
