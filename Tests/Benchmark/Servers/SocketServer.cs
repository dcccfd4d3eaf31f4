using System.Net;
using System.Net.Sockets;

namespace C10kServer.Benchmark.Servers;

/// <summary>An echo over Socket and SocketAsyncEventArgs: one for each connection, with its buffer.</summary>
internal static class SocketServer
{
    private const int BufferSize = 16 * 1024;

    internal static async Task RunAsync(int port)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(4096);
        while (true)
        {
            Socket socket = await listener.AcceptAsync();
            socket.NoDelay = true;
            var connection = new SocketAsyncEventArgs { UserToken = socket };
            connection.SetBuffer(new byte[BufferSize], 0, BufferSize);
            connection.Completed += static (_, done) => Go(done);
            Receive(connection);
        }
    }

    private static void Receive(SocketAsyncEventArgs connection)
    {
        connection.SetBuffer(0, BufferSize);
        if (!((Socket)connection.UserToken!).ReceiveAsync(connection))
        {
            Go(connection);
        }
    }

    /// <summary>What was begun is done: goes on until something has to be waited for.</summary>
    private static void Go(SocketAsyncEventArgs connection)
    {
        var socket = (Socket)connection.UserToken!;
        bool pending = false;
        while (!pending)
        {
            if (connection.SocketError != SocketError.Success || connection.BytesTransferred == 0)
            {
                socket.Dispose();
                connection.Dispose();
                return;
            }

            if (connection.LastOperation == SocketAsyncOperation.Receive)
            {
                connection.SetBuffer(0, connection.BytesTransferred);
                pending = socket.SendAsync(connection);
            }
            else
            {
                // SendAsync is done when all is sent.
                connection.SetBuffer(0, BufferSize);
                pending = socket.ReceiveAsync(connection);
            }
        }
    }
}
