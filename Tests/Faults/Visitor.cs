using System.Net;
using System.Net.Sockets;

namespace C10kServer.Faults.Tests;

/// <summary>
/// A client with a thread of its own that has keyed bytes echoed until it is told to end. A bystander keeps its connection; a newcomer
/// makes a new one for each echo and ends it in order. Where a fault may end connections, it comes again and counts; a wrong
/// byte is never forgiven.
/// </summary>
internal sealed class Visitor : IDisposable
{
    // More than one segment of loopback, so that answers come in pieces, and less than what socket buffers hold: it sends first
    // and then receives.
    private const int Largest = 100_000;

    private readonly IPEndPoint _server;
    private readonly bool _stays;
    private readonly bool _mayBeHit;
    private readonly Thread _thread;
    private readonly byte[] _buffer = new byte[Largest];
    private TestClient? _client;
    private volatile bool _ending;
    private volatile Exception? _failure;
    private int _rounds;
    private int _hits;
    private long _slowest;

    private Visitor(IPEndPoint server, bool stays, bool mayBeHit)
    {
        _server = server;
        _stays = stays;
        _mayBeHit = mayBeHit;
        _thread = new Thread(Run) { IsBackground = true, Name = stays ? "bystander" : "newcomer" };
        _thread.Start();
    }

    /// <summary>Echoes that came back whole and right.</summary>
    internal int Rounds => Volatile.Read(ref _rounds);

    /// <summary>Connections that ended before their answer was whole.</summary>
    internal int Hits => Volatile.Read(ref _hits);

    /// <summary>The longest time that a whole echo took.</summary>
    internal TimeSpan Slowest => TimeSpan.FromMilliseconds(Volatile.Read(ref _slowest));

    internal static Visitor Bystander(IPEndPoint server, bool mayBeHit) => new(server, stays: true, mayBeHit);

    internal static Visitor Newcomer(IPEndPoint server, bool mayBeHit) => new(server, stays: false, mayBeHit);

    /// <summary>Fails where it has met something that the fault does not excuse.</summary>
    internal void Check()
    {
        if (_failure is not null)
        {
            Assert.Fail($"{_thread.Name}, after {Rounds} rounds and {Hits} hits: {_failure}");
        }
    }

    /// <summary>Ends it, in order, and fails as <see cref="Check"/> does.</summary>
    internal void End()
    {
        _ending = true;
        Assert.True(_thread.Join(Eventually.Patience), $"the {_thread.Name} hangs");
        Check();
    }

    public void Dispose()
    {
        _ending = true;
        _thread.Join(Eventually.Patience);
        _client?.Dispose();
    }

    private void Run()
    {
        try
        {
            for (int key = 1; !_ending; key++)
            {
                var watch = Stopwatch.StartNew();
                if (Echo(key))
                {
                    Volatile.Write(ref _slowest, Math.Max(_slowest, watch.ElapsedMilliseconds));
                    Volatile.Write(ref _rounds, _rounds + 1);
                }
                else
                {
                    Assert.True(_mayBeHit || _ending, "the connection ended before the answer was whole");
                    Volatile.Write(ref _hits, _hits + 1);
                    _client?.Dispose();
                    _client = null;
                }
            }
        }
        catch (Exception e)
        {
            _failure = e;
        }
    }

    /// <summary>False: the connection has ended.</summary>
    private bool Echo(int key)
    {
        int size = 1 + (int)(key * 7919L % (key % 8 == 0 ? Largest : 3000));
        try
        {
            _client ??= new TestClient(_server);
            _client.Send(Keyed.Bytes(key, size));
            for (int received = 0; received < size;)
            {
                int n = _client.Socket.Receive(_buffer, 0, size - received, SocketFlags.None);
                if (n == 0)
                {
                    return false;
                }

                Keyed.Verify(key, _buffer.AsSpan(0, n), received);
                received += n;
            }

            if (!_stays)
            {
                _client.EndSending();
                if (_client.Socket.Receive(_buffer) != 0)
                {
                    Assert.Fail("more came than was asked for");
                }

                _client.Dispose();
                _client = null;
            }

            return true;
        }
        catch (SocketException e)
            when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown or SocketError.NotConnected)
        {
            return false;
        }
    }
}
