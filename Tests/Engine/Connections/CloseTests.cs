using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class CloseTests
{
    [Fact]
    public void Hello_says_hello_world_and_closes()
    {
        using var fixture = new ServerFixture(new HelloHandler());
        for (int i = 0; i < 100; i++)
        {
            using TestClient client = fixture.Connect();
            Assert.Equal("hello world"u8.ToArray(), client.ReceiveToEnd());
        }

        Eventually.Equal(100, () => fixture.Server.Closed);
    }

    [Fact]
    public void An_answer_is_whole_though_the_client_sent_what_was_never_read()
    {
        const int Size = 2_000_000;
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Opened = static connection =>
            {
                connection.PauseReading();
                connection.Write(Keyed.Bytes(7, Size));
                connection.Close();
            },
        });
        for (int i = 0; i < 100; i++)
        {
            using TestClient client = fixture.Connect();
            client.Send(new byte[100_000]);
            byte[] answer = client.ReceiveToEnd();
            Assert.Equal(Size, answer.Length);
            Keyed.Verify(7, answer);
        }
    }

    [Fact]
    public void A_peer_that_never_closes_does_not_hold_a_closing_connection()
    {
        var handler = new LambdaHandler { Opened = static connection => connection.Close() };
        using var fixture = new ServerFixture(handler, options => options with { LingerTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient client = fixture.Connect();
        Assert.Empty(client.ReceiveToEnd());
        var watch = Stopwatch.StartNew();
        Assert.Equal(ConnectionState.Closing, Assert.Single(fixture.Rows()).State);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.ElapsedMilliseconds, 150, 3000);
        Assert.Equal(CloseReason.HandlerClosed, handler.LastReason);
    }

    [Fact]
    public void A_peer_that_goes_on_sending_does_not_hold_a_closing_connection()
    {
        var handler = new LambdaHandler { Received = static (connection, _) => connection.Close() };
        using var fixture = new ServerFixture(handler, options => options with { LingerTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient client = fixture.Connect();
        client.Send([1]);
        var watch = Stopwatch.StartNew();
        Assert.ThrowsAny<System.Net.Sockets.SocketException>(() =>
        {
            while (watch.Elapsed < Eventually.Patience)
            {
                client.Send(new byte[1000]);
                Thread.Yield();
            }
        });
        Eventually.Equal(1, () => handler.ClosedCount);
    }

    [Fact]
    public void A_slow_reader_gets_its_whole_answer_though_it_takes_longer_than_lingering()
    {
        const int Size = 300_000;
        using var fixture = new ServerFixture(
            new LambdaHandler
            {
                Opened = static connection =>
                {
                    connection.Write(Keyed.Bytes(3, Size));
                    connection.Close();
                },
            },
            options => options with { LingerTimeout = TimeSpan.FromMilliseconds(100) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        var watch = Stopwatch.StartNew();
        int received = 0;
        while (received < Size)
        {
            // Its pace is the test: some 1.5 s for an answer that lingers 100 ms.
            byte[] piece = client.Receive(Math.Min(10_000, Size - received));
            Keyed.Verify(3, piece, received);
            received += piece.Length;
            Thread.Sleep(50);
        }

        Assert.Empty(client.ReceiveToEnd());
        Assert.True(watch.ElapsedMilliseconds > 1000);
    }

    [Fact]
    public void Abort_resets_and_drops_what_is_queued()
    {
        var reasons = new List<CloseReason>();
        var handler = new LambdaHandler
        {
            Received = (connection, _) =>
            {
                connection.Write(new byte[8_000_000], (_, reason) => reasons.Add(reason));
                connection.Abort();
                connection.Abort();
                connection.Close();
                Assert.False(connection.Write([1]));
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.Send([1]);

        // Not read before: a reader that is fast enough takes all of it while it is being sent.
        Eventually.Equal(1, () => handler.ClosedCount);
        client.AssertReset();
        Assert.Equal([CloseReason.Aborted], reasons);
        Assert.Equal(CloseReason.Aborted, handler.LastReason);
    }

    [Fact]
    public void Closing_in_a_callback_ends_each_request_once_and_OnClosed_comes_last()
    {
        var ledger = new List<string>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                connection.Read(1, (c, data, reason) =>
                {
                    ledger.Add($"read {data.Length} {reason}");
                    c.Write(Keyed.Bytes(1, 5), (_, r) => ledger.Add($"write 1 {r}"));
                    c.Close();
                    ledger.Add($"late write {c.Write([9], (_, _) => ledger.Add("never"))}");
                    ledger.Add($"late read {c.Read(1, (_, _, _) => ledger.Add("never"))}");
                });
                connection.Read(1, (_, data, reason) => ledger.Add($"read {data.Length} {reason}"));
                connection.ReadUntil("\n"u8, 10, (_, data, reason) => ledger.Add($"read {data.Length} {reason}"));
            },
            Closed = connection =>
            {
                ledger.Add($"closed {connection.State}");
                Assert.False(connection.Read(1, (_, _, _) => ledger.Add("never")));
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Send([1, 2, 3]);
        byte[] answer = client.ReceiveToEnd();
        Keyed.Verify(1, answer);
        Assert.Equal(5, answer.Length);
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(
            [
                "read 1 None", "late write False", "late read False", "write 1 None", "read 0 HandlerClosed", "read 0 HandlerClosed", "closed Closed",
            ],
            ledger);
    }

    [Fact]
    public void Closing_another_connection_within_a_batch_hits_that_one_alone()
    {
        // All connections are ready in one batch, and each closes the next one in turn.
        var all = new List<Connection>();
        var handler = new LambdaHandler
        {
            Opened = all.Add,
            Received = (connection, data) =>
            {
                if (data.Length == 1)
                {
                    foreach (Connection other in all.Where(other => other != connection))
                    {
                        other.Abort();
                    }
                }
                else
                {
                    connection.Write(data);
                }
            },
        };
        using var fixture = new ServerFixture(handler, options => options with { WorkerCount = 1 });
        for (int round = 0; round < 20; round++)
        {
            all.Clear();
            List<TestClient> clients = [.. Enumerable.Range(0, 30).Select(_ => fixture.Connect())];
            clients.ForEach(static client => client.Echo(1, 10));
            clients[7].Send([255]);
            foreach (TestClient client in clients.Where(client => client != clients[7]))
            {
                client.AssertReset();
            }

            // Descriptors and slots of the aborted ones are in use again by now: strangers must not notice.
            List<TestClient> strangers = [.. Enumerable.Range(0, 29).Select(_ => fixture.Connect())];
            for (int i = 0; i < strangers.Count; i++)
            {
                strangers[i].Echo(round * 100 + i, 5000);
            }

            clients[7].Echo(2, 10);
            clients.ForEach(static client => client.Dispose());
            strangers.ForEach(static client => client.Dispose());
            Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        }
    }

    [Fact]
    public void Half_closed_connections_wait_without_spinning()
    {
        var handler = new LambdaHandler { PeerClosed = static _ => { } };
        using var fixture = new ServerFixture(handler);
        List<TestClient> clients = [.. Enumerable.Range(0, 100).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.EndSending());
        Eventually.True(() => fixture.Rows().Count(static row => row.State == ConnectionState.HalfClosed) == 100);
        AssertQuiet(fixture);
        clients.ForEach(static client => client.Reset());
        Eventually.Equal(100, () => handler.ClosedCount);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
    }

    [Fact]
    public void A_reset_while_reading_is_paused_closes_and_does_not_spin()
    {
        var handler = new LambdaHandler { Opened = static connection => connection.PauseReading() };
        using var fixture = new ServerFixture(handler);
        List<TestClient> clients = [.. Enumerable.Range(0, 20).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Send(new byte[1000]));
        Eventually.True(() => fixture.Rows().Count(static row => row.ReadPaused) == 20);
        AssertQuiet(fixture);
        clients.ForEach(static client => client.Reset());
        Eventually.Equal(20, () => handler.ClosedCount);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
        AssertQuiet(fixture);
    }

    [Fact]
    public void An_idle_connection_with_nothing_to_send_does_not_spin()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        var sender = new Thread(() => client.Send(Keyed.Bytes(1, 3_000_000)));
        sender.Start();
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        Keyed.Verify(1, client.Receive(3_000_000));
        sender.Join();
        AssertQuiet(fixture);
    }

    /// <summary>The workers' loops stand still: as many turns in a quarter of a second as a timer wheel takes, not thousands.</summary>
    private static void AssertQuiet(ServerFixture fixture)
    {
        // Only ever one more look: what is being waited for is that nothing happens.
        long before = fixture.Server.GetWorkers().Sum(static worker => worker.Wakeups);
        Thread.Sleep(250);
        Assert.InRange(fixture.Server.GetWorkers().Sum(static worker => worker.Wakeups) - before, 0, 40);
    }
}
