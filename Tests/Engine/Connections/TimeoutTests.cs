using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class TimeoutTests
{
    [Fact]
    public void An_idle_connection_is_closed_in_its_time_and_an_active_one_is_not()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler, options => options with { IdleTimeout = TimeSpan.FromMilliseconds(400) });
        using TestClient active = fixture.Connect();
        using TestClient idle = fixture.Connect();
        idle.Echo(1, 10);
        var watch = Stopwatch.StartNew();
        var ended = new Thread(() => idle.ReceiveToEnd());
        ended.Start();
        while (watch.ElapsedMilliseconds < 1200)
        {
            active.Echo(2, 10);
            Thread.Sleep(20);
        }

        Assert.True(ended.Join(Eventually.Patience));
        idle.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.IdleTimeout, handler.LastReason);
        active.Echo(3, 10);
    }

    [Fact]
    public void A_vanished_peer_is_closed_by_the_idle_timeout()
    {
        var handler = new LambdaHandler();
        using var fixture = new ServerFixture(
            handler,
            options => options with { IdleTimeout = TimeSpan.FromMilliseconds(200), LingerTimeout = TimeSpan.FromMilliseconds(200) });
        using TestClient silent = fixture.Connect();
        var watch = Stopwatch.StartNew();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.ElapsedMilliseconds, 300, 5000);
        Assert.Equal(CloseReason.IdleTimeout, handler.LastReason);
    }

    [Fact]
    public void A_peer_that_takes_no_output_is_reset_after_the_write_timeout()
    {
        CloseReason written = CloseReason.None;
        var handler = new LambdaHandler { Opened = c => c.Write(new byte[8_000_000], (_, reason) => written = reason) };
        using var fixture = new ServerFixture(handler, options => options with { WriteTimeout = TimeSpan.FromMilliseconds(400) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        var watch = Stopwatch.StartNew();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.ElapsedMilliseconds, 350, 5000);
        Assert.Equal(CloseReason.WriteTimeout, handler.LastReason);
        Assert.Equal(CloseReason.WriteTimeout, written);
        client.AssertReset();
    }

    [Fact]
    public void A_closing_connection_whose_peer_takes_nothing_ends_by_the_write_timeout()
    {
        var handler = new LambdaHandler
        {
            Opened = static connection =>
            {
                connection.Write(new byte[8_000_000]);
                connection.Close();
            },
        };
        using var fixture = new ServerFixture(
            handler,
            options => options with { WriteTimeout = TimeSpan.FromMilliseconds(400), LingerTimeout = TimeSpan.FromMilliseconds(50) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.True(() => fixture.Rows() is [{ State: ConnectionState.Closing }]);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.WriteTimeout, handler.LastReason);
    }

    [Fact]
    public void A_slow_reader_is_not_stalled()
    {
        const int Size = 1_000_000;
        var handler = new LambdaHandler
        {
            Opened = static connection => connection.Write(Keyed.Bytes(1, Size)),
        };
        using var fixture = new ServerFixture(
            handler,
            options => options with { WriteTimeout = TimeSpan.FromMilliseconds(300), IdleTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        int received = 0;
        var watch = Stopwatch.StartNew();
        while (watch.ElapsedMilliseconds < 1500)
        {
            byte[] piece = client.Receive(10_000);
            Keyed.Verify(1, piece, received);
            received += piece.Length;
            Thread.Sleep(40);
        }

        Keyed.Verify(1, client.Receive(Size - received), received);
        Assert.Empty(client.ReceiveToEnd());
    }

    [Fact]
    public void Ten_thousand_deadlines_cost_nothing_while_they_are_far()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { IdleTimeout = TimeSpan.FromHours(1) });
        List<TestClient> clients = [.. Enumerable.Range(0, 500).Select(_ => fixture.Connect())];
        Eventually.Equal(500, () => fixture.Server.GetWorkers().Sum(static worker => worker.ConnectionCount));
        long before = fixture.Server.GetWorkers().Sum(static worker => worker.Wakeups);
        Thread.Sleep(250);
        Assert.InRange(fixture.Server.GetWorkers().Sum(static worker => worker.Wakeups) - before, 0, 20);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_client_that_says_nothing_is_closed_by_the_handshake_timeout_and_one_that_speaks_is_not()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler, options => options with { HandshakeTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient speaks = fixture.Connect();
        speaks.Echo(1, 10);
        using TestClient silent = fixture.Connect();
        silent.ReceiveToEnd();
        silent.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.HandshakeTimeout, handler.LastReason);
        speaks.Echo(2, 10);
    }

    [Fact]
    public void A_slow_loris_is_closed_by_the_message_timeout_however_busily_it_trickles()
    {
        ReadCallback line = null!;
        line = (connection, data, reason) =>
        {
            if (reason == CloseReason.None)
            {
                connection.Write(data);
                connection.ReadUntil("\n"u8, 1000, line);
            }
        };
        var handler = new LambdaHandler { Opened = connection => connection.ReadUntil("\n"u8, 1000, line) };
        using var fixture = new ServerFixture(handler, options => options with { MessageTimeout = TimeSpan.FromMilliseconds(400) });
        using TestClient honest = fixture.Connect();
        using TestClient loris = fixture.Connect();
        var watch = Stopwatch.StartNew();
        Assert.ThrowsAny<System.Net.Sockets.SocketException>(() =>
        {
            while (watch.Elapsed < Eventually.Patience)
            {
                loris.Send("x"u8);
                honest.Send("y\n"u8);
                honest.Receive(1);
                Thread.Sleep(20);
            }
        });
        Assert.InRange(watch.ElapsedMilliseconds, 350, 8000);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.MessageTimeout, handler.LastReason);
        honest.Send("z\n"u8);
        Assert.Equal("z"u8.ToArray(), honest.Receive(1));
    }

    [Fact]
    public void A_client_that_still_reads_an_answer_that_the_kernel_holds_is_not_idle()
    {
        const int Size = 300_000;
        var idle = TimeSpan.FromMilliseconds(1000);
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(Keyed.Bytes(data[0], data[0] == 1 ? Size : 1)) };
        using var fixture = new ServerFixture(handler, options => options with { IdleTimeout = idle });
        TimeSpan longest;
        do
        {
            // A client that dawdles for the idle timeout is idle: where the machine made it dawdle, it tries again.
            using TestClient client = fixture.Connect(receiveBuffer: 4096);
            client.Send([1]);
            longest = TimeSpan.Zero;
            var watch = Stopwatch.StartNew();
            bool open = true;
            for (int received = 0; received < Size;)
            {
                Thread.Sleep(50);
                byte[] piece = client.Receive(Math.Min(6_000, Size - received));
                Keyed.Verify(1, piece, received);
                received += piece.Length;
                open &= fixture.Rows() is [{ SendQueue: 0, State: ConnectionState.Open }];
                longest = watch.Elapsed > longest ? watch.Elapsed : longest;
                watch.Restart();
            }

            client.Send([2]);
            var answer = new byte[1];
            int answered = client.Socket.Receive(answer);
            longest = watch.Elapsed > longest ? watch.Elapsed : longest;
            if (longest < idle / 2)
            {
                Assert.True(open);
                Assert.Equal(1, answered);
                Keyed.Verify(2, answer);
            }

            client.Dispose();
            Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        }
        while (longest >= idle / 2);
    }

    [Fact]
    public void A_client_that_takes_nothing_of_an_answer_that_the_kernel_holds_is_idle_all_the_same()
    {
        var handler = new LambdaHandler { Received = static (connection, _) => connection.Write(new byte[300_000]) };
        using var fixture = new ServerFixture(
            handler, options => options with { IdleTimeout = TimeSpan.FromMilliseconds(300), WriteTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        var watch = Stopwatch.StartNew();
        client.Send([1]);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.ElapsedMilliseconds, 300, 10_000);

        // Closing for idleness begins in order; what the peer does not take even then has the write timeout.
        Assert.Contains(handler.LastReason, (CloseReason[])[CloseReason.IdleTimeout, CloseReason.WriteTimeout]);
    }

    [Fact]
    public void While_a_handler_thread_works_its_connection_stays_and_its_row_shows_how_long_nothing_has_moved()
    {
        using var go = new ManualResetEventSlim();
        using var fixture = new SessionFixture(
            threads: 1,
            (session, _) =>
            {
                Assert.True(go.Wait(Eventually.Patience));
                session.Send("done"u8);
            },
            with: static options => options with { IdleTimeout = TimeSpan.FromMilliseconds(200) });
        using TestClient client = fixture.Connect();
        client.Send("work\n"u8);
        TimeSpan before = TimeSpan.Zero;
        Eventually.True(() =>
        {
            TimeSpan now = Assert.Single(fixture.Rows()).IdleTime;
            Assert.True(now >= before || before == TimeSpan.Zero, $"{before}, then {now}");
            before = fixture.Server.MessagesReceived > 0 ? now : TimeSpan.Zero;
            return now > TimeSpan.FromSeconds(1);
        });
        go.Set();
        Assert.Equal("done"u8.ToArray(), client.Receive(4));
    }
}
