using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Chargen, Daytime and Time, byte for byte as their RFCs have them, and what they owe the others on their worker.</summary>
public class ProtocolTests
{
    private const int LineLength = 74;

    // What a write of Chargen leaves over at most.
    private const int ChargenBlock = 2 * ChargenHandler.Period;

    private static readonly LambdaHandler Echo = new() { Received = static (connection, data) => connection.Write(data) };

    [Fact]
    public void Chargen_begins_as_the_RFC_shows_it()
    {
        using var fixture = new ServerFixture(new ChargenHandler());
        using TestClient client = fixture.Connect();
        string[] lines = Encoding.ASCII.GetString(client.Receive(96 * LineLength)).Split("\r\n");
        Assert.Equal(" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg", lines[0]);
        Assert.Equal("!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh", lines[1]);
        Assert.Equal("~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef", lines[94]);
        Assert.Equal(lines[0], lines[95]);
    }

    [Fact]
    public void Chargen_goes_on_in_its_pattern_for_tens_of_megabytes_whatever_it_is_sent()
    {
        const int Size = 30_000_000;
        using var fixture = new ServerFixture(new ChargenHandler());
        using TestClient client = fixture.Connect();
        for (int n = 0; n < Size; n += 1_000_000)
        {
            client.Send(Keyed.Bytes(n, 10_000));
            VerifyPattern(client.Receive(1_000_000), n);
        }

        Eventually.Equal(Size / 1_000_000 * 10_000, () => fixture.Server.BytesReceived);
    }

    [Fact]
    public void A_slow_reader_of_Chargen_gets_the_exact_pattern()
    {
        using var fixture = new ServerFixture(new ChargenHandler(), static options => options with { WorkerCount = 1 });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        for (int n = 0, size = 1; n < 3_000_000; n += size, size = 1 + (size * 7 % 40_000))
        {
            if (n % 16 == 0)
            {
                // As often as not it comes back to a queue that has filled up meanwhile.
                Thread.Sleep(1);
            }

            VerifyPattern(client.Receive(size), n);
            Assert.InRange(fixture.Rows() is [ConnectionInfo row] ? row.SendQueue : -1, 0, ChargenBlock);
        }
    }

    [Fact]
    public void A_reader_of_Chargen_that_stops_costs_a_block_of_queue_and_no_processor()
    {
        const int Clients = 50;
        int made = 0;
        using var fixture = new ServerFixture(() => made++ == 0 ? Echo : new ChargenHandler(), static options => options with { WorkerCount = 1 });
        using TestClient bystander = fixture.Connect();
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect(receiveBuffer: 4096))];
        Eventually.Equal(Clients, () => fixture.Rows().Count(static row => row.SendQueue > 0));
        long sent = 0;
        Eventually.True(() => sent == (sent = fixture.Server.BytesSent));

        // Only ever one more look: what is being waited for is that nothing happens.
        TimeSpan cpu = ProcessLedger.EngineCpuTime();
        WorkerInfo before = Assert.Single(fixture.Server.GetWorkers());
        Thread.Sleep(500);
        Assert.InRange(Assert.Single(fixture.Server.GetWorkers()).Wakeups - before.Wakeups, 0, 40);
        Assert.InRange(ProcessLedger.EngineCpuTime() - cpu, TimeSpan.Zero, TimeSpan.FromMilliseconds(50));
        Assert.All(fixture.Rows().Where(row => row.BytesSent > 0), static row =>
        {
            Assert.InRange(row.SendQueue, 1, ChargenBlock);
            Assert.False(row.ReadPaused);
        });
        bystander.Echo(1, 10_000);

        // And it goes on where it was.
        VerifyPattern(clients[^1].Receive(5_000_000), 0);
        clients.ForEach(static client => client.Dispose());
        Eventually.Equal(Clients, () => fixture.Server.Closed);
        bystander.Echo(2, 10_000);
    }

    [Fact]
    public void A_client_of_Chargen_that_half_closes_while_output_is_queued_gets_the_queue_and_the_end()
    {
        using var fixture = new ServerFixture(new ChargenHandler());
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        client.EndSending();
        Eventually.True(() => fixture.Rows() is [{ State: ConnectionState.Closing, CloseReason: CloseReason.PeerClosed }]);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        byte[] rest = client.ReceiveToEnd();
        Assert.Equal(row.BytesSent + row.SendQueue, rest.Length);
        VerifyPattern(rest, 0);
        Eventually.Equal(1, () => fixture.Server.Closed);
    }

    [Fact]
    public void A_client_of_Chargen_that_half_closes_and_takes_all_at_once_gets_the_end_too()
    {
        // It never lets the queue fill up, so a callback is due at every moment.
        var chargen = new ChargenHandler();
        bool told = false;
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Opened = connection => chargen.OnOpen(connection),
            PeerClosed = connection =>
            {
                told = true;
                chargen.OnPeerClosed(connection);
            },
        });
        for (int i = 0; i < 20; i++)
        {
            told = false;
            using TestClient client = fixture.Connect();
            VerifyPattern(client.Receive(1_000_000), 0);
            client.EndSending();
            VerifyPattern(client.ReceiveToEnd(), 1_000_000);
            Assert.True(Volatile.Read(ref told));
        }

        Eventually.Equal(20, () => fixture.Server.Closed);
    }

    [Fact]
    public void After_the_end_of_its_peer_Chargen_adds_nothing()
    {
        // Before the peer's end is told: the callback that the end meets is one of a write before it.
        var seen = new List<long>();
        var chargen = new ChargenHandler();
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Opened = chargen.OnOpen,
            PeerClosed = connection =>
            {
                seen.Add(connection.BytesSent + connection.SendQueue);
                connection.Write("still open"u8, (c, _) =>
                {
                    seen.Add(c.BytesSent + c.SendQueue);
                    c.Close();
                });
            },
        });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        client.EndSending();
        Eventually.True(() => fixture.Rows() is [{ State: ConnectionState.HalfClosed }]);
        client.ReceiveToEnd();
        Eventually.Equal(1, () => fixture.Server.Closed);
        Assert.Equal(seen[0] + "still open".Length, seen[1]);
    }

    [Fact]
    public void Fast_readers_of_Chargen_leave_the_others_their_turn()
    {
        const int Readers = 4;
        int made = 0;
        using var fixture = new ServerFixture(() => made++ == 0 ? Echo : new ChargenHandler(), static options => options with { WorkerCount = 1 });
        using TestClient bystander = fixture.Connect();
        bystander.Echo(0, 100);
        List<TestClient> clients = [.. Enumerable.Range(0, Readers).Select(_ => fixture.Connect())];
        using var stop = new CancellationTokenSource();
        List<Thread> readers = [.. clients.Select(client => new Thread(() =>
        {
            var buffer = new byte[1_000_000];
            while (!stop.IsCancellationRequested && client.Socket.Receive(buffer) > 0)
            {
            }
        }))];
        readers.ForEach(static reader => reader.Start());
        Eventually.True(() => fixture.Server.BytesSent > 50_000_000);
        long turns = Assert.Single(fixture.Server.GetWorkers()).Wakeups;
        long sent = fixture.Server.BytesSent;
        for (int i = 1; i <= 200; i++)
        {
            bystander.Echo(i, 1000);
        }

        turns = Assert.Single(fixture.Server.GetWorkers()).Wakeups - turns;
        sent = fixture.Server.BytesSent - sent;
        stop.Cancel();
        readers.ForEach(static reader => Assert.True(reader.Join(Eventually.Patience)));
        clients.ForEach(static client => client.Dispose());

        // A round is a turn or two; and none of the readers has more in one than a flush and its callbacks may send.
        Assert.InRange(sent / turns, 1, Readers * 2 * (256 * 1024 + ChargenBlock));
    }

    [Fact]
    public void In_a_turn_a_fast_reader_gets_no_more_than_its_budget()
    {
        // Sockets that take megabytes: without a budget of bytes all callbacks of a turn find room for their block.
        var block = new byte[ChargenBlock];
        var byTurn = new List<long>();
        long turn = -1;
        Server? server = null;
        WriteCallback next = null!;
        next = (connection, reason) =>
        {
            if (reason == CloseReason.None)
            {
                long now = server!.GetWorkers()[0].Wakeups;
                if (now != turn)
                {
                    turn = now;
                    byTurn.Add(0);
                }

                long before = connection.BytesSent;
                connection.Write(block, next);
                byTurn[^1] += connection.BytesSent - before;
            }
        };
        using var fixture = new ServerFixture(
            new LambdaHandler { Received = (connection, _) => connection.Write([], next) },
            static options => options with { WorkerCount = 1 });
        server = fixture.Server;
        using TestClient client = fixture.Connect(receiveBuffer: 8_000_000);
        client.Send([1]);
        client.Receive(100_000_000);
        client.Dispose();
        Eventually.Equal(1, () => fixture.Server.Closed);
        Assert.InRange(byTurn.Max(), ChargenBlock * 2, 256 * 1024 + ChargenBlock);
    }

    [Fact]
    public void Chargen_allocates_nothing_in_steady_state()
    {
        const int WarmUp = 10_000_000;
        const int Size = 100_000_000;
        var chargen = new ChargenHandler();
        var allocated = new List<long>(2);
        using var fixture = new ServerFixture(
            new LambdaHandler
            {
                Opened = chargen.OnOpen,
                Received = (_, _) => allocated.Add(GC.GetAllocatedBytesForCurrentThread()),
            },
            static options => options with { WorkerCount = 1 });
        using TestClient client = fixture.Connect();

        // The queue and its slab are there from the first time that the socket is full.
        Eventually.True(() => fixture.Rows() is [{ SendQueue: > 0 }]);
        foreach (int size in new[] { WarmUp, Size })
        {
            var buffer = new byte[1_000_000];
            for (int n = 0; n < size;)
            {
                n += client.Socket.Receive(buffer);
            }

            client.Send([1]);
            Eventually.True(() => fixture.Server.BytesReceived == (size == WarmUp ? 1 : 2));
        }

        client.Dispose();
        Eventually.Equal(1, () => fixture.Server.Closed);

        // Not one object: Size is some seven thousand blocks.
        Assert.InRange(allocated[1] - allocated[0], 0, 100);
    }

    [Fact]
    public void Time_is_that_of_the_clock_to_a_second_and_the_end_follows()
    {
        using var fixture = new ServerFixture(new TimeHandler());
        for (int i = 0; i < 20; i++)
        {
            DateTime before = DateTime.UtcNow.AddSeconds(-1);
            using TestClient client = fixture.Connect();
            client.Send(Keyed.Bytes(i, i * 1000));
            byte[] answer = client.ReceiveToEnd();
            Assert.Equal(4, answer.Length);
            DateTime time = new DateTime(1900, 1, 1).AddSeconds(BinaryPrimitives.ReadUInt32BigEndian(answer));
            Assert.InRange(time, before, DateTime.UtcNow);
        }

        Eventually.Equal(20, () => fixture.Server.Closed);
        Assert.Equal(20 * 4, fixture.Server.BytesSent);
    }

    [Theory]
    [InlineData("1900-01-01T00:00:00Z", 0u)]
    [InlineData("1970-01-01T00:00:00Z", 2_208_988_800u)]
    [InlineData("1976-01-01T00:00:00Z", 2_398_291_200u)]
    [InlineData("1999-12-31T23:00:00-01:00", 3_155_673_600u)]
    [InlineData("2036-02-07T06:28:15Z", uint.MaxValue)]
    [InlineData("2036-02-07T06:28:16Z", 0u)]
    public void Time_counts_as_the_RFC_does_and_begins_anew_in_2036(string now, uint seconds) =>
        Assert.Equal(seconds, TimeHandler.Seconds(DateTimeOffset.Parse(now, CultureInfo.InvariantCulture)));

    [Fact]
    public void Daytime_is_a_line_that_reads_back_as_now_and_the_end_follows()
    {
        using var fixture = new ServerFixture(new DaytimeHandler());
        for (int i = 0; i < 20; i++)
        {
            DateTimeOffset before = DateTimeOffset.Now.AddSeconds(-1);
            using TestClient client = fixture.Connect();
            string line = Encoding.ASCII.GetString(client.ReceiveToEnd());
            Assert.EndsWith("\r\n", line, StringComparison.Ordinal);
            var time = DateTimeOffset.ParseExact(line[..^2], "dddd, MMMM d, yyyy HH:mm:sszzz", CultureInfo.InvariantCulture);
            Assert.InRange(time, before, DateTimeOffset.Now);
            Assert.Equal(DateTimeOffset.Now.Offset, time.Offset);
        }

        Eventually.Equal(20, () => fixture.Server.Closed);
    }

    [Theory]
    [InlineData("1982-02-22T17:37:43-08:00", "Monday, February 22, 1982 17:37:43-08:00\r\n")]
    [InlineData("2026-09-02T00:00:00+05:45", "Wednesday, September 2, 2026 00:00:00+05:45\r\n")]
    [InlineData("9999-12-29T23:59:59+00:00", "Wednesday, December 29, 9999 23:59:59+00:00\r\n")]
    public void Daytime_is_written_in_English_whatever_the_culture(string now, string line)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        Span<byte> bytes = stackalloc byte[DaytimeHandler.MaxLength];
        try
        {
            foreach (string culture in new[] { "en-US", "de-DE", "fa-IR", "ar-SA", "fi-FI" })
            {
                CultureInfo.CurrentCulture = new CultureInfo(culture);
                int length = DaytimeHandler.Format(DateTimeOffset.Parse(now, CultureInfo.InvariantCulture), bytes);
                Assert.Equal(line, Encoding.ASCII.GetString(bytes[..length]));
            }
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData("Time")]
    [InlineData("Daytime")]
    public void Thousands_who_ask_the_time_and_go_leave_a_bystander_alone(string protocol)
    {
        int made = 0;
        Func<ConnectionHandler> ask = protocol == "Time" ? BuiltInHandlers.Time : BuiltInHandlers.Daytime;
        using var fixture = new ServerFixture(() => made++ == 0 ? Echo : ask(), static options => options with { WorkerCount = 1 });
        using TestClient bystander = fixture.Connect();
        bystander.Echo(0, 100);
        for (int i = 1; i <= 2000; i++)
        {
            using TestClient client = fixture.Connect();
            if (i % 3 == 0)
            {
                client.Reset();
                bystander.Echo(i, 100);
            }
            else
            {
                Assert.NotEmpty(client.ReceiveToEnd());
            }
        }

        Eventually.Equal(2000, () => fixture.Server.Closed);
    }

    /// <summary>Fails with the place of the first byte that is not the pattern's.</summary>
    private static void VerifyPattern(ReadOnlySpan<byte> bytes, long offset)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            long line = (offset + i) / LineLength;
            long column = (offset + i) % LineLength;
            int expected = column switch
            {
                72 => '\r',
                73 => '\n',
                _ => (int)(' ' + ((line + column) % 95)),
            };
            if (bytes[i] != expected)
            {
                Assert.Fail($"byte {offset + i} is {bytes[i]}, not {expected}");
            }
        }
    }
}
