using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class BackpressureTests
{
    [Fact]
    public void Reading_pauses_above_the_high_water_mark_and_nothing_is_lost_after()
    {
        const int Size = 20_000_000;
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        var sender = new Thread(() => client.Send(Keyed.Bytes(1, Size)));
        sender.Start();
        Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.InRange(row.SendQueue, 32 * 1024, (64 * 1024) + Worker.ScratchSize);
        Keyed.Verify(1, client.Receive(Size));
        sender.Join();
        Eventually.True(() => fixture.Rows() is [{ ReadPaused: false, SendQueue: 0 }]);
    }

    [Fact]
    public void A_peer_that_never_reads_costs_no_more_than_the_marks()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        List<TestClient> clients = [.. Enumerable.Range(0, 50).Select(_ => fixture.Connect(receiveBuffer: 4096))];
        using var stop = new CancellationTokenSource();
        clients.ForEach(static client => client.Socket.Blocking = false);
        byte[] flood = Keyed.Bytes(1, 65536);
        Eventually.True(() =>
        {
            foreach (TestClient client in clients)
            {
                client.Socket.Send(flood, 0, flood.Length, System.Net.Sockets.SocketFlags.None, out _);
            }

            // A client is connected before its worker has it.
            IReadOnlyList<ConnectionInfo> rows = fixture.Rows();
            return rows.Count == clients.Count && rows.All(static row => row.ReadPaused);
        });
        Assert.All(fixture.Rows(), static row => Assert.InRange(row.SendQueue, 1, (64 * 1024) + Worker.ScratchSize));
        clients.ForEach(static client => client.Reset());
        Eventually.Equal(50, () => fixture.Server.Closed);
    }

    [Fact]
    public void Over_the_cap_a_connection_is_reset()
    {
        var reasons = new List<CloseReason>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                var piece = new byte[1_000_000];
                while (connection.Write(piece, (_, reason) => reasons.Add(reason)))
                {
                }
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.SendQueueFull, handler.LastReason);
        Assert.Equal(CloseReason.SendQueueFull, reasons[^1]);
        client.AssertReset();
    }

    [Fact]
    public void What_the_socket_takes_at_once_does_not_count_towards_the_cap()
    {
        const int Cap = 1000;
        const int Size = 10 * Cap;
        var handler = new LambdaHandler { Received = static (connection, _) => connection.Write(Keyed.Bytes(1, Size)) };
        using var fixture = new ServerFixture(handler, static options => options with { HighWaterMark = Cap, MaxSendQueue = Cap });
        using TestClient client = fixture.Connect();
        for (int i = 0; i < 3; i++)
        {
            // The client has read all that was sent before, so that the socket has room for as much again.
            client.Send([1]);
            Keyed.Verify(1, client.Receive(Size));
        }

        Assert.Equal(CloseReason.None, Assert.Single(fixture.Rows()).CloseReason);
        Assert.DoesNotContain(fixture.Server.Options.Log.GetRecords(), static record => record.Name == "SendQueueFull");
    }

    [Fact]
    public void OnDrained_comes_once_for_each_time_above_the_mark()
    {
        int drained = 0;
        var handler = new LambdaHandler
        {
            Opened = static connection => connection.Write(Keyed.Bytes(1, 8_000_000)),
            Drained = connection =>
            {
                drained++;
                Assert.InRange(connection.SendQueue, 0, 32 * 1024);
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect(receiveBuffer: 65536);
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        Keyed.Verify(1, client.Receive(8_000_000));
        Eventually.Equal(1, () => Volatile.Read(ref drained));
    }

    [Fact]
    public void A_gigabyte_for_a_client_that_never_reads_costs_under_16_MB()
    {
        // Each write waits for the one before: the way to send what is larger than the queue may be.
        byte[] piece = Keyed.Bytes(1, 64 * 1024);
        long written = 0;
        WriteCallback next = null!;
        next = (connection, reason) =>
        {
            if (reason == CloseReason.None && Interlocked.Add(ref written, piece.Length) < 1_000_000_000)
            {
                connection.Write(piece, next);
            }
        };
        using var fixture = new ServerFixture(new LambdaHandler { Opened = connection => connection.Write(piece, next) });
        long before = Environment.WorkingSet;
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        long stuckAt = Volatile.Read(ref written);
        Assert.InRange(Environment.WorkingSet - before, long.MinValue, 16 * 1024 * 1024);
        Assert.InRange(stuckAt, 1, 900_000_000);
        client.Receive(10_000_000);
        Eventually.True(() => Volatile.Read(ref written) > stuckAt);
    }

    [Fact]
    public void When_both_sides_have_stopped_reading_the_write_timeout_ends_it()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(
            handler,
            static options => options with { WriteTimeout = TimeSpan.FromMilliseconds(400), IdleTimeout = TimeSpan.FromMinutes(10) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.Socket.Blocking = false;
        byte[] flood = Keyed.Bytes(1, 65536);

        // It sends for as long as it can and never reads: the server, whose answers are stuck, stops reading in turn.
        Eventually.True(() =>
        {
            client.Socket.Send(flood, 0, flood.Length, System.Net.Sockets.SocketFlags.None, out _);
            return handler.ClosedCount == 1 || fixture.Rows() is [{ ReadPaused: true }];
        });
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.WriteTimeout, handler.LastReason);
    }

    [Fact]
    public void A_flooding_client_does_not_starve_the_others()
    {
        using var fixture = new ServerFixture(new DiscardThenEcho(), options => options with { WorkerCount = 1 });
        using TestClient flooder = fixture.Connect();
        using TestClient other = fixture.Connect();
        using var stop = new CancellationTokenSource();
        flooder.Send([0]);
        var thread = new Thread(() =>
        {
            byte[] flood = new byte[1_000_000];
            while (!stop.IsCancellationRequested)
            {
                flooder.Send(flood);
            }
        });
        thread.Start();
        var latencies = new List<double>();
        for (int i = 0; i < 500; i++)
        {
            var watch = Stopwatch.StartNew();
            other.Send([1]);
            other.Receive(1);
            latencies.Add(watch.Elapsed.TotalMilliseconds);
        }

        stop.Cancel();
        thread.Join();
        latencies.Sort();
        Assert.InRange(latencies[450], 0, 50);
    }

    private sealed class DiscardThenEcho : ConnectionHandler
    {
        public override void OnReceived(Connection connection, ReadOnlySpan<byte> data)
        {
            if (data[0] == 1)
            {
                connection.Write(data);
            }
        }
    }
}
