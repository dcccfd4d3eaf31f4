using System.Management.Automation;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Commands;

/// <summary>
/// A connection to a server of this process, made to see whether the server takes it. That it comes about says little: the kernel answers
/// for the server as long as there is room in the queue. So the server is asked whether it has it.
/// </summary>
internal sealed class Probe(Server server, Patience patience, CancellationToken stop) : IDisposable
{
    // How long the two ends may take for an end in order. A handler that goes on sending would never be done.
    private static readonly TimeSpan ClosingTime = TimeSpan.FromSeconds(1);

    private readonly long _lastId = Engine.Server.LastConnectionId;
    private readonly long _accepted = server.Accepted;
    private readonly long _rejected = server.Rejected;
    private Socket? _socket;
    private long? _id;

    /// <summary>What came of it, in words.</summary>
    internal string Result { get; private set; } = "";

    /// <summary>Connects, and asks. Null: this process can have no socket.</summary>
    /// <exception cref="PipelineStoppedException">Ctrl+C.</exception>
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

    /// <summary>Where the server is found from here; null where it is not.</summary>
    private EndPoint? Reachable(EndPoint endPoint) => endPoint switch
    {
        IPEndPoint ip => LocalTarget.For(ip.Address, server.Options.DualMode) is IPAddress address ? new IPEndPoint(address, ip.Port) : null,
        Engine.UnixEndPoint unix => new UnixDomainSocketEndPoint(unix.Path),
        _ => endPoint,
    };

    /// <summary>False: not in time.</summary>
    /// <exception cref="SocketException">It was refused.</exception>
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
                // Over TCP it is under way. A Unix domain socket whose queue is full wants to be asked again.
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
            // Clients of a Unix domain socket have no name to be known by. Its queue is in order, so that one taken is a good sign.
            return server.Accepted > _accepted;
        }

        long last = Engine.Server.LastConnectionId;
        if (last == _lastId)
        {
            return false;
        }

        // The port alone would do for the living; among those that have ended another one may have had it before.
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

    /// <summary>By a reset, or where it is no TCP by a plain end.</summary>
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

    /// <summary>Says that nothing more comes, hears the server out, and sees its end of it go.</summary>
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
            // The server's handler has ended it in its own way.
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
