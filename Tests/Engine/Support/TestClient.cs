using System.Net;
using System.Net.Sockets;

namespace C10kServer.Engine.Tests.Support;

/// <summary>A blocking client with a deadline on every call.</summary>
internal sealed class TestClient : IDisposable
{
    internal TestClient(IPEndPoint server, int receiveBuffer = 0, IPAddress? source = null)
    {
        Socket = new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer > 0)
        {
            Socket.ReceiveBufferSize = receiveBuffer;
        }

        Socket.ReceiveTimeout = Socket.SendTimeout = (int)Eventually.Patience.TotalMilliseconds;
        if (source is not null)
        {
            Socket.Bind(new IPEndPoint(source, 0));
        }

        try
        {
            Socket.Connect(server);
        }
        catch
        {
            Socket.Dispose();
            throw;
        }
    }

    internal Socket Socket { get; }

    internal void Send(ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            data = data[Socket.Send(data)..];
        }
    }

    internal byte[] Receive(int count)
    {
        var bytes = new byte[count];
        for (int n = 0; n < count;)
        {
            int received = Socket.Receive(bytes, n, count - n, SocketFlags.None);
            Assert.True(received > 0, $"the end came after {n} of {count} bytes");
            n += received;
        }

        return bytes;
    }

    /// <summary>All that comes until the end, which must be an end and no reset.</summary>
    internal byte[] ReceiveToEnd()
    {
        using var bytes = new MemoryStream();
        var buffer = new byte[65536];
        while (Socket.Receive(buffer) is > 0 and var n)
        {
            bytes.Write(buffer, 0, n);
        }

        return bytes.ToArray();
    }

    /// <summary>
    /// Reads until the reset. A test whose server aborts because of unsent output calls this after the abort, because a client that reads
    /// meanwhile may take all the output, and then there is no reset.
    /// </summary>
    internal void AssertReset()
    {
        long received = 0;
        var buffer = new byte[65536];
        var e = Assert.Throws<SocketException>(() =>
        {
            while (Socket.Receive(buffer) is > 0 and var n)
            {
                received += n;
            }
        });
        Assert.True(e.SocketErrorCode == SocketError.ConnectionReset, $"{e.SocketErrorCode} came after {received} bytes, and no reset");
    }

    internal void Echo(int key, int count)
    {
        Send(Keyed.Bytes(key, count));
        Keyed.Verify(key, Receive(count));
    }

    /// <summary>Closes with a reset.</summary>
    internal void Reset()
    {
        Socket.LingerState = new LingerOption(true, 0);
        Socket.Dispose();
    }

    internal void EndSending() => Socket.Shutdown(SocketShutdown.Send);

    public void Dispose() => Socket.Dispose();
}
