using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class RequestTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    [InlineData(1_000_000)]
    public void Reads_get_exactly_their_bytes_whatever_the_packets(int packet)
    {
        int[] sizes = [1, 0, 2, 100, 3, 65_536, 70_000, 1, 0, 5000];
        int total = sizes.Sum();
        var got = new List<int>();
        int offset = 0;
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                foreach (int size in sizes)
                {
                    connection.Read(size, (_, data, reason) =>
                    {
                        Assert.Equal(CloseReason.None, reason);
                        Keyed.Verify(9, data, offset);
                        offset += data.Length;
                        got.Add(data.Length);
                    });
                }

                connection.Read(0, static (c, _, _) => c.Write("done"u8));
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        int step = packet == 1 ? 1 : packet;
        byte[] all = Keyed.Bytes(9, total);

        // One byte a packet for the first thousand: enough of that.
        int slow = packet < 10 ? 1000 : total;
        for (int i = 0; i < slow; i += step)
        {
            client.Send(all.AsSpan(i, Math.Min(step, slow - i)));
        }

        client.Send(all.AsSpan(slow));
        Assert.Equal("done"u8.ToArray(), client.Receive(4));
        Assert.Equal(sizes, got);
        Assert.Equal(total, offset);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("aab")]
    public void ReadUntil_finds_its_delimiter_whatever_the_packets(string delimiter)
    {
        byte[] mark = Encoding.ASCII.GetBytes(delimiter);
        var got = new List<string>();
        string[] lines = ["one", "", "aa", "a\r", "aaaa", "last but one", "end"];
        ReadCallback next = null!;
        next = (connection, data, reason) =>
        {
            if (reason != CloseReason.None)
            {
                return;
            }

            got.Add(Encoding.ASCII.GetString(data));
            connection.Write("."u8);
            connection.ReadUntil(mark, 100, next);
        };
        using var fixture = new ServerFixture(new LambdaHandler { Opened = connection => connection.ReadUntil(mark, 100, next) });
        byte[] all = Encoding.ASCII.GetBytes(string.Concat(lines.Select(line => line + delimiter)));
        string[] expected = Encoding.ASCII.GetString(all).Split(delimiter)[..^1];
        for (int step = 1; step <= all.Length; step++)
        {
            got.Clear();
            using TestClient client = fixture.Connect();
            for (int i = 0; i < all.Length; i += step)
            {
                client.Send(all.AsSpan(i, Math.Min(step, all.Length - i)));
            }

            client.Receive(expected.Length);
            Assert.Equal(expected, got);
        }
    }

    [Theory]
    [InlineData(10, false)]
    [InlineData(11, true)]
    [InlineData(5000, true)]
    public void A_message_over_its_maximum_closes_the_connection_and_says_so(int length, bool tooLong)
    {
        CloseReason? failed = null;
        var handler = new LambdaHandler
        {
            Opened = connection => connection.ReadUntil("\n"u8, 10, (c, data, reason) =>
            {
                failed = reason;
                c.Write(data);
                c.Close();
            }),
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Send(new byte[length]);
        if (!tooLong)
        {
            client.Send("\n"u8);
        }

        Assert.Equal(tooLong ? 0 : length, client.ReceiveToEnd().Length);
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(tooLong ? CloseReason.MessageTooLong : CloseReason.None, failed);
        Assert.Equal(tooLong ? CloseReason.MessageTooLong : CloseReason.HandlerClosed, handler.LastReason);
    }

    [Fact]
    public void A_length_from_the_wire_is_checked_and_never_preallocated()
    {
        var thrown = new List<Type?>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                foreach (int count in new[] { -1, int.MinValue, int.MaxValue, (1024 * 1024) + 1 })
                {
                    thrown.Add(Record.Exception(() => connection.Read(count, static (_, _, _) => { }))?.GetType());
                    thrown.Add(Record.Exception(() => connection.ReadUntil("\n"u8, count, static (_, _, _) => { }))?.GetType());
                }

                thrown.Add(Record.Exception(() => connection.ReadUntil([], 5, static (_, _, _) => { }))?.GetType());
                long before = GC.GetAllocatedBytesForCurrentThread();
                connection.Read(1024 * 1024, static (_, _, _) => { });
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10_000);
                connection.Write("."u8);
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Receive(1);
        Assert.Equal([.. Enumerable.Repeat(typeof(ArgumentOutOfRangeException), 8), typeof(ArgumentException)], thrown);
    }

    [Fact]
    public void Reads_at_the_peers_end_end_with_that_reason_and_what_came_before_is_served()
    {
        var ledger = new List<string>();
        ReadCallback next = null!;
        next = (connection, data, reason) =>
        {
            ledger.Add($"{Encoding.ASCII.GetString(data)} {reason}");
            bool more = connection.ReadUntil("\n"u8, 100, next);
            if (!more)
            {
                ledger.Add("no more");
            }
        };
        var handler = new LambdaHandler
        {
            Opened = connection => connection.ReadUntil("\n"u8, 100, next),
            PeerClosed = connection =>
            {
                ledger.Add("peer closed");
                connection.Write("bye"u8);
                connection.Close();
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Send("one\ntwo\nrest"u8);
        client.EndSending();
        Assert.Equal("bye"u8.ToArray(), client.ReceiveToEnd());
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(["one None", "two None", " PeerClosed", "no more", "peer closed"], ledger);
        Assert.Equal(CloseReason.PeerClosed, handler.LastReason);
    }

    [Fact]
    public void Requests_with_different_delimiters_each_find_their_own()
    {
        var ledger = new System.Collections.Concurrent.ConcurrentQueue<string>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                foreach (string delimiter in new[] { "\n", ";", "\n", "\r\n", "\r\n", ";" })
                {
                    connection.ReadUntil(
                        System.Text.Encoding.ASCII.GetBytes(delimiter), 100, (_, data, _) => ledger.Enqueue(System.Text.Encoding.ASCII.GetString(data)));
                }
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Send("a;\nb\n;c;\nd;\r\ne\r\nf\n;"u8);
        Eventually.Equal(6, () => ledger.Count);
        Assert.Equal(["a;", "b\n", "c;", "d;", "e", "f\n"], ledger);
    }

    [Fact]
    public void Callbacks_chain_a_million_deep_on_a_small_stack()
    {
        const int Depth = 1_000_000;
        int written = 0;
        WriteCallback next = null!;
        next = (connection, _) =>
        {
            if (++written < Depth)
            {
                connection.Write([], next);
            }
            else
            {
                connection.Write("done"u8);
            }
        };
        using var fixture = new ServerFixture(new LambdaHandler { Opened = connection => connection.Write([], next) });
        using TestClient client = fixture.Connect();
        Assert.Equal("done"u8.ToArray(), client.Receive(4));
        Assert.Equal(Depth, written);
    }

    [Fact]
    public void A_connection_with_endless_callbacks_leaves_the_others_their_turn()
    {
        WriteCallback next = null!;
        next = (connection, reason) =>
        {
            if (reason == CloseReason.None)
            {
                connection.Write([], next);
            }
        };
        int made = 0;
        var endless = new LambdaHandler { Opened = connection => connection.Write([], next) };
        var echo = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(() => made++ == 0 ? endless : echo, options => options with { WorkerCount = 1 });
        using TestClient first = fixture.Connect();
        Eventually.Equal(1, () => endless.OpenedCount);
        using TestClient second = fixture.Connect();
        for (int i = 0; i < 100; i++)
        {
            second.Echo(i, 1000);
        }
    }

    [Fact]
    public void Write_callbacks_come_in_order_and_when_the_bytes_are_sent()
    {
        var order = new List<int>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                for (int i = 0; i < 50; i++)
                {
                    int n = i;
                    connection.Write(Keyed.Bytes(1, 100_000, i * 100_000), (c, reason) =>
                    {
                        Assert.Equal(CloseReason.None, reason);
                        Assert.True(c.BytesSent >= (n + 1) * 100_000L);
                        order.Add(n);
                    });
                }

                Assert.Empty(order);
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        Keyed.Verify(1, client.Receive(5_000_000));
        Eventually.Equal(50, () => order.Count);
        Assert.Equal(Enumerable.Range(0, 50), order);
    }

    [Fact]
    public void While_no_read_is_asked_for_bytes_wait_in_the_kernel()
    {
        Connection? held = null;
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                held = connection;
                connection.Read(1, static (c, _, _) => c.Write("."u8));
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Send([1]);
        client.Receive(1);
        client.Socket.SendTimeout = 300;
        Assert.ThrowsAny<System.Net.Sockets.SocketException>(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                client.Send(new byte[100_000]);
            }
        });
        Assert.InRange(fixture.Server.BytesReceived, 1, 1 + (2 * Worker.ScratchSize));
    }
}
