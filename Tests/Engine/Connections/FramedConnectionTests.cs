using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Framing on real connections: what is handed on, when it waits, and what it may cost.</summary>
public class FramedConnectionTests
{
    public static TheoryData<string> Names => Framings.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void Messages_are_the_same_one_byte_a_packet_and_thousands_a_packet(string name)
    {
        Framing framing = Framings.Of(name);
        var random = new Random(21);
        List<byte[]> few = Framings.Messages(framing, random, 30, longest: 20);
        List<byte[]> many = Framings.Messages(framing, random, 20_000, longest: 60);
        var got = new ConcurrentQueue<byte[]>();
        using ServerFixture fixture = Server(framing, new LambdaHandler { Received = (_, message) => got.Enqueue(message.ToArray()) });
        using TestClient client = fixture.Connect();
        foreach (byte one in Framings.Encode(framing, few))
        {
            client.Send([one]);
        }

        Eventually.Equal(few.Count, () => got.Count);
        client.Send(Framings.Encode(framing, many));
        Eventually.Equal(few.Count + many.Count, () => got.Count);
        Framings.AssertSame([.. few, .. many], got);
        Assert.Equal(got.Count, Assert.Single(fixture.Rows()).MessagesReceived);
        Assert.Equal(got.Count, fixture.Server.MessagesReceived);
    }

    [Theory]
    [InlineData("Line")]
    [InlineData("LineCrLf")]
    [InlineData("Delimiter aab")]
    [InlineData("Length 2")]
    [InlineData("Length 4 little")]
    public void Messages_at_the_edge_of_the_receive_buffer_are_whole(string name)
    {
        Framing framing = Framings.Of(name);
        int marks = Framings.Encode(framing, [[]]).Length;
        var got = new ConcurrentQueue<byte[]>();
        using ServerFixture fixture = Server(framing, new LambdaHandler { Received = (_, message) => got.Enqueue(message.ToArray()) });
        for (int offset = -5; offset <= 5; offset++)
        {
            // Sent while reading is paused, so that it is received a whole buffer at a time.
            using TestClient client = fixture.Connect();
            Eventually.True(() => fixture.Rows().Count == 1);
            ConnectionInfo row = Assert.Single(fixture.Rows());
            Act(fixture, row, ConnectionAction.PauseReading);
            int second = Worker.ScratchSize - 2000 - marks;
            List<byte[]> messages = [Message(1000), Message(Worker.ScratchSize - 1000 - (2 * marks) + offset), Message(second), Message(10), Message(0)];
            client.Send(Framings.Encode(framing, messages));
            Act(fixture, row, ConnectionAction.ResumeReading);
            Eventually.Equal(messages.Count, () => got.Count);
            Framings.AssertSame(messages, got);
            got.Clear();
            client.Dispose();
            Eventually.True(() => fixture.Server.ConnectionCount == 0);
        }

        static byte[] Message(int length) => [.. Enumerable.Range(0, length).Select(static i => (byte)('c' + (Keyed.At(5, i) % 20)))];
    }

    [Theory]
    [InlineData("Line", "\n")]
    [InlineData("Line", "\r\n")]
    [InlineData("Delimiter CRLF", "\r\n")]
    [InlineData("Delimiter ;", ";")]
    [InlineData("Length 2", null)]
    [InlineData("Length 4", null)]
    public void A_message_of_MaxMessage_is_one_and_a_longer_one_closes(string name, string? mark)
    {
        Framing framing = Framings.Of(name);
        var got = new ConcurrentQueue<int>();
        var handler = new LambdaHandler { Received = (connection, message) => Answer(connection, message.Length) };
        using ServerFixture fixture = Server(framing, handler, static options => options with { MaxMessage = 5000 });
        using TestClient client = fixture.Connect();
        client.Send(Encode(5000));
        client.Receive(1);
        foreach (byte one in Encode(5000).Chunk(999).SelectMany(static chunk => chunk))
        {
            client.Send([one]);
        }

        client.Receive(1);
        client.Send([.. Encode(5000), .. Encode(0), .. Encode(5001), .. Encode(1)]);
        Assert.Equal(2, client.ReceiveToEnd().Length);
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.MessageTooLong, handler.LastReason);
        Assert.Equal([5000, 5000, 5000, 0], got);

        byte[] Encode(int length) => mark is null
            ? Framings.Encode(framing, [new byte[length]])
            : [.. Enumerable.Repeat((byte)'x', length), .. Encoding.Latin1.GetBytes(mark)];

        void Answer(Connection connection, int length)
        {
            got.Enqueue(length);
            connection.Write("."u8);
        }
    }

    [Theory]
    [InlineData("Length 4")]
    [InlineData("Length 4 little")]
    public void A_claim_of_four_gigabytes_closes_at_once_and_costs_nothing(string name)
    {
        long before = 0;
        long allocated = -1;
        var handler = new LambdaHandler
        {
            Opened = _ => before = GC.GetAllocatedBytesForCurrentThread(),
            Closed = _ => allocated = GC.GetAllocatedBytesForCurrentThread() - before,
        };
        using ServerFixture fixture = Server(Framings.Of(name), handler);
        using TestClient client = fixture.Connect();
        client.Send([0xFF, 0xFF, 0xFF, 0xFF]);
        Assert.Empty(client.ReceiveToEnd());
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.MessageTooLong, handler.LastReason);
        Assert.InRange(allocated, 0, 10_000);
    }

    [Theory]
    [InlineData("Line")]
    [InlineData("Delimiter aab")]
    public void A_hundred_megabytes_without_an_end_cost_about_the_longest_message(string name)
    {
        const int MaxMessage = 1024 * 1024;
        long before = 0;
        long allocated = -1;
        var handler = new LambdaHandler
        {
            Opened = _ => before = GC.GetAllocatedBytesForCurrentThread(),
            Closed = _ => allocated = GC.GetAllocatedBytesForCurrentThread() - before,
        };
        using ServerFixture fixture = Server(
            Framings.Of(name), handler, static options => options with { MaxMessage = MaxMessage, LingerTimeout = TimeSpan.FromMilliseconds(500) });
        using TestClient client = fixture.Connect();
        var piece = new byte[1_000_000];
        SocketException? refused = null;
        try
        {
            for (int i = 0; i < 100; i++)
            {
                client.Send(piece);
            }
        }
        catch (SocketException e)
        {
            // It had its half a second to see the end.
            refused = e;
        }

        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.MessageTooLong, handler.LastReason);
        Assert.True(refused is not null || fixture.Server.BytesReceived == 100_000_000);

        // All arrays that it grew through, 64 KiB to 2 MiB.
        Assert.InRange(allocated, 0, 5 * MaxMessage);
    }

    [Theory]
    [InlineData("Line", "one\ntwo\r\nrest", "one two rest")]
    [InlineData("Line", "one\nrest\r", "one rest")]
    [InlineData("Line", "one\n", "one")]
    [InlineData("Line", "", "")]
    [InlineData("Delimiter ;", "one;;rest", "one  rest")]
    [InlineData("Delimiter CRLF", "one\r\nrest\r", "one rest\r")]
    [InlineData("Length 1", "\u0003one\u0004tw", "one")]
    [InlineData("Length 2", "\0\u0003one\0", "one")]
    [InlineData("Fixed 7", "1234567123456", "1234567")]
    public void At_the_peers_end_what_is_whole_is_handed_on_and_the_end_comes_last(string name, string stream, string expected)
    {
        // In one burst, and with the end in a packet of its own.
        foreach (bool apart in new[] { false, true })
        {
            var ledger = new ConcurrentQueue<string>();
            var handler = new LambdaHandler
            {
                Received = (_, message) => ledger.Enqueue(Encoding.Latin1.GetString(message)),
                PeerClosed = connection =>
                {
                    ledger.Enqueue("end");
                    connection.Write("bye"u8);
                    connection.Close();
                },
                Closed = _ => ledger.Enqueue("closed"),
            };
            using ServerFixture fixture = Server(Framings.Of(name), handler);
            using TestClient client = fixture.Connect();
            client.Send(Encoding.Latin1.GetBytes(stream));
            if (apart)
            {
                Eventually.Equal(stream.Length, () => fixture.Server.BytesReceived);
            }

            client.EndSending();
            Assert.Equal("bye"u8.ToArray(), client.ReceiveToEnd());
            Eventually.Equal(1, () => handler.ClosedCount);
            string[] messages = expected.Length == 0 ? [] : expected.Split(' ');
            Assert.Equal([.. messages, "end", "closed"], ledger);
            Assert.Equal(CloseReason.PeerClosed, handler.LastReason);
        }
    }

    [Theory]
    [InlineData("Delimiter CRLF", 10)]
    [InlineData("Delimiter aab", 10)]
    [InlineData("Delimiter aab", 11)]
    [InlineData("Line", 10)]
    public void A_rest_over_the_maximum_is_no_message(string name, int length)
    {
        var got = new ConcurrentQueue<int>();
        var handler = new LambdaHandler { Received = (_, message) => got.Enqueue(message.Length) };
        using ServerFixture fixture = Server(Framings.Of(name), handler, static options => options with { MaxMessage = 9 });
        using TestClient client = fixture.Connect();
        client.Send(new byte[length]);
        client.EndSending();
        Assert.Empty(client.ReceiveToEnd());
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Empty(got);
        Assert.Equal(CloseReason.MessageTooLong, handler.LastReason);
    }

    [Fact]
    public void A_half_closing_client_gets_all_its_answers()
    {
        const int Lines = 20_000;
        using ServerFixture fixture = Server(Framing.Line, new LambdaHandler { Received = EchoLine });
        using TestClient client = fixture.Connect();
        byte[] lines = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, Lines).Select(static i => $"line {i}\n")));
        var sender = new Thread(() =>
        {
            client.Send([.. lines, .. "last"u8]);
            client.EndSending();
        });
        sender.Start();
        byte[] answers = client.ReceiveToEnd();
        sender.Join();
        Assert.Equal((byte[])[.. lines, .. "last\n"u8], answers);
    }

    [Fact]
    public void Pausing_in_a_message_holds_the_rest_of_its_packet()
    {
        var got = new ConcurrentQueue<string>();
        Connection? held = null;
        using ServerFixture fixture = Server(Framing.Line, new LambdaHandler
        {
            Received = (connection, message) =>
            {
                string text = Encoding.ASCII.GetString(message);
                got.Enqueue(text);
                if (text == "pause")
                {
                    held = connection;
                    connection.PauseReading();
                }
                else if (text == "resume")
                {
                    held!.ResumeReading();
                }
            },
        });
        using TestClient client = fixture.Connect();
        using TestClient other = fixture.Connect();

        // The first pause is met where the packet was received, the second one where it is buffered.
        client.Send("one\npause\ntwo\npause\nthree\nfo"u8);
        Eventually.Equal(2, () => got.Count);
        client.Send("ur\nfive\n"u8);
        other.Send("look\n"u8);
        Eventually.Equal(3, () => got.Count);
        Assert.Contains(fixture.Rows(), static row => row.ReadPaused);
        Assert.Equal(["one", "pause", "look"], got);
        other.Send("resume\n"u8);
        Eventually.Equal(6, () => got.Count);
        Assert.Contains(fixture.Rows(), static row => row.ReadPaused);
        Assert.Equal(["one", "pause", "look", "resume", "two", "pause"], got);
        other.Send("resume\n"u8);
        Eventually.Equal(10, () => got.Count);
        Assert.Equal(["one", "pause", "look", "resume", "two", "pause", "resume", "three", "four", "five"], got);
    }

    [Fact]
    public void An_end_that_comes_while_messages_are_held_is_told_after_them()
    {
        var ledger = new ConcurrentQueue<string>();
        using ServerFixture fixture = Server(Framing.Line, new LambdaHandler
        {
            Received = (_, message) => ledger.Enqueue(Encoding.ASCII.GetString(message)),
            PeerClosed = connection =>
            {
                ledger.Enqueue("end");
                connection.Close();
            },
        });
        using TestClient client = fixture.Connect();
        Eventually.True(() => fixture.Rows().Count == 1);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Act(fixture, row, ConnectionAction.PauseReading);
        client.Send("one\ntwo\nrest"u8);
        client.EndSending();
        Act(fixture, row, ConnectionAction.Look);
        Assert.Empty(ledger);
        Act(fixture, row, ConnectionAction.ResumeReading);
        Assert.Empty(client.ReceiveToEnd());
        Assert.Equal(["one", "two", "rest", "end"], ledger);
    }

    [Theory]
    [InlineData("close", 1, CloseReason.HandlerClosed)]
    [InlineData("abort", 1, CloseReason.Aborted)]
    [InlineData("throw", 1, CloseReason.HandlerError)]
    [InlineData("close", 300, CloseReason.HandlerClosed)]
    [InlineData("abort", 300, CloseReason.Aborted)]
    [InlineData("throw", 300, CloseReason.HandlerError)]
    public void Closing_in_a_message_drops_the_rest_of_its_packet(string how, int before, CloseReason reason)
    {
        // After one it is met where the packet was received, after three hundred where it is buffered.
        var got = new ConcurrentQueue<string>();
        var handler = new LambdaHandler
        {
            Received = (connection, message) =>
            {
                got.Enqueue(Encoding.ASCII.GetString(message));
                switch (got.Last())
                {
                    case "close":
                        connection.Close();
                        break;
                    case "abort":
                        connection.Abort();
                        break;
                    case "throw":
                        throw new InvalidOperationException("as asked");
                    default:
                        connection.Write("."u8);
                        break;
                }
            },
        };
        using ServerFixture fixture = Server(Framing.Line, handler);
        using TestClient client = fixture.Connect();
        client.Send(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("x\n", before)) + how + "\nlost\nlost\nlost"));
        if (how == "abort")
        {
            client.AssertReset();
        }
        else
        {
            Assert.Equal(before, client.ReceiveToEnd().Length);
        }

        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(reason, handler.LastReason);
        Assert.Equal([.. Enumerable.Repeat("x", before), how], got);
        fixture.ExpectedHandlerErrors = how == "throw" ? 1 : 0;
    }

    [Fact]
    public void Backpressure_pauses_within_a_packet_and_every_message_is_answered_in_order()
    {
        const int Lines = 4000;
        const int AnswerSize = 1000;
        const int Mark = 8192;
        int answered = 0;
        int most = 0;
        using ServerFixture fixture = Server(
            Framing.Line,
            new LambdaHandler
            {
                Received = (connection, message) =>
                {
                    connection.Write(Keyed.Bytes(int.Parse(message, CultureInfo.InvariantCulture), AnswerSize));
                    answered++;
                    most = Math.Max(most, connection.SendQueue);
                },
            },
            static options => options with { HighWaterMark = Mark });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.Send(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, Lines).Select(static i => $"{i}\n"))));
        client.EndSending();
        Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);
        for (int i = 0; i < Lines; i++)
        {
            Keyed.Verify(i, client.Receive(AnswerSize));
        }

        Assert.Empty(client.ReceiveToEnd());
        Assert.Equal(Lines, answered);
        Assert.InRange(most, Mark, Mark + AnswerSize);
    }

    [Theory]
    [InlineData("framing")]
    [InlineData("requests")]
    [InlineData("framing, resumed by another connection")]
    [InlineData("requests by another connection")]
    public void A_flood_of_small_messages_waits_in_the_kernel_and_the_others_have_their_turn(string way)
    {
        // What has been received and not been handed on is the difference of two counts, and grows if the flood is faster than its turns.
        var flood = new Flood(way);
        using var fixture = new ServerFixture(
            flood, options => options with { WorkerCount = 1, Framing = way.StartsWith("framing", StringComparison.Ordinal) ? Framing.Line : Framing.Raw });
        using TestClient flooder = fixture.Connect();
        flooder.Send("flood\n"u8);
        Eventually.True(() => flood.Messages == 1);
        using TestClient other = fixture.Connect();
        using var stop = new CancellationTokenSource();
        var sender = new Thread(() =>
        {
            byte[] lines = [.. Enumerable.Repeat("x\n"u8.ToArray(), 100_000).SelectMany(static line => line)];
            try
            {
                while (!stop.IsCancellationRequested)
                {
                    flooder.Send(lines);
                }
            }
            catch (SocketException) when (stop.IsCancellationRequested)
            {
                // Most of it was never taken.
            }
        });
        sender.Start();
        var latencies = new List<double>();
        for (var whole = Stopwatch.StartNew(); whole.Elapsed < TimeSpan.FromSeconds(2);)
        {
            var watch = Stopwatch.StartNew();
            other.Send("y\n"u8);
            other.Receive(1);
            latencies.Add(watch.Elapsed.TotalMilliseconds);
        }

        stop.Cancel();
        flooder.Reset();
        sender.Join();
        latencies.Sort();
        TestContext.Current.SendDiagnosticMessage($"{way}: most {flood.MostWaiting}, messages {flood.Messages}, p90 {latencies[latencies.Count * 9 / 10]} ms");
        Assert.InRange(flood.Messages, latencies.Count / 2, long.MaxValue);
        Assert.InRange(flood.MostWaiting, 1, 5 * Worker.ScratchSize);
        Assert.InRange(latencies[latencies.Count * 9 / 10], 0, 50);
    }

    [Fact]
    public void A_slow_loris_of_lines_is_closed_by_the_message_timeout_and_who_ends_his_lines_is_not()
    {
        var handler = new LambdaHandler { Received = EchoLine };
        using ServerFixture fixture = Server(Framing.Line, handler, static options => options with { MessageTimeout = TimeSpan.FromMilliseconds(400) });
        using TestClient honest = fixture.Connect();
        using TestClient loris = fixture.Connect();
        honest.Send("first\n"u8);
        honest.Receive(6);
        loris.Send("whole\n"u8);
        loris.Receive(6);
        var watch = Stopwatch.StartNew();
        Assert.ThrowsAny<SocketException>(() =>
        {
            while (watch.Elapsed < Eventually.Patience)
            {
                loris.Send("x"u8);
                honest.Send("y\n"u8);
                honest.Receive(2);
                Thread.Sleep(20);
            }
        });
        Assert.InRange(watch.ElapsedMilliseconds, 350, 8000);
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.MessageTimeout, handler.LastReason);
        honest.Send("z\n"u8);
        Assert.Equal("z\n"u8.ToArray(), honest.Receive(2));
    }

    [Fact]
    public void A_first_line_that_trickles_is_closed_by_the_handshake_timeout_and_a_whole_one_is_not()
    {
        var handler = new LambdaHandler { Received = EchoLine };
        using ServerFixture fixture = Server(Framing.Line, handler, static options => options with { HandshakeTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient speaks = fixture.Connect();
        speaks.Send("whole\npart"u8);
        speaks.Receive(6);
        using TestClient trickles = fixture.Connect();
        var watch = Stopwatch.StartNew();
        Assert.ThrowsAny<SocketException>(() =>
        {
            while (watch.Elapsed < Eventually.Patience)
            {
                trickles.Send("x"u8);
                Thread.Sleep(20);
            }
        });
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.HandshakeTimeout, handler.LastReason);
        speaks.Send("s\n"u8);
        Assert.Equal("parts\n"u8.ToArray(), speaks.Receive(6));
    }

    [Theory]
    [InlineData("one\npa", "part\n")]
    [InlineData("one\npa", "\nwhole\n")]
    [InlineData("one\npa", "")]
    [InlineData("pa", "part\n")]
    [InlineData("pa", "")]
    public void While_reading_is_paused_no_message_is_late_and_from_then_on_it_can_be(string before, string meanwhile)
    {
        var got = new ConcurrentQueue<string>();
        Connection? held = null;
        var handler = new LambdaHandler
        {
            Received = (connection, message) =>
            {
                string text = Encoding.ASCII.GetString(message);
                got.Enqueue(text);
                if (text == "pause")
                {
                    held = connection;
                    connection.PauseReading();
                }
                else if (text == "resume")
                {
                    held!.ResumeReading();
                }
            },
        };
        using ServerFixture fixture = Server(Framing.Line, handler, static options => options with { MessageTimeout = TimeSpan.FromMilliseconds(300) });
        using TestClient client = fixture.Connect();
        using TestClient other = fixture.Connect();
        client.Send(Encoding.ASCII.GetBytes($"pause\n{before}"));
        Eventually.Equal(1, () => got.Count);
        client.Send(Encoding.ASCII.GetBytes(meanwhile));

        // Long over any deadline that it could have.
        var watch = Stopwatch.StartNew();
        Eventually.True(() => watch.ElapsedMilliseconds > 900 || handler.ClosedCount > 0);
        Assert.Equal(0, handler.ClosedCount);
        watch.Restart();
        other.Send("resume\n"u8);
        string[] expected = ["pause", "resume", .. (before + meanwhile).Split('\n')[..^1]];
        Eventually.Equal(expected.Length, () => got.Count);
        Assert.Equal(expected, got);
        if (meanwhile.EndsWith('\n'))
        {
            client.Send("whole\n"u8);
            Eventually.Equal(expected.Length + 1, () => got.Count);
            Assert.Equal(0, handler.ClosedCount);
            watch.Restart();
            client.Send("pa"u8);
        }

        // Reading again, it waits for a line's end as long as ever.
        Assert.Empty(client.ReceiveToEnd());
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.InRange(watch.ElapsedMilliseconds, 290, 8000);
        Assert.Equal(CloseReason.MessageTimeout, handler.LastReason);
    }

    [Fact]
    public void A_message_that_waited_for_output_to_drain_is_not_late()
    {
        var handler = new LambdaHandler { Received = static (connection, _) => connection.Write(new byte[100_000]) };
        using ServerFixture fixture = Server(
            Framing.Line,
            handler,
            static options => options with { MessageTimeout = TimeSpan.FromMilliseconds(200), WriteTimeout = TimeSpan.FromMilliseconds(4000) });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        const int Lines = 200;
        client.Send(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("x\n", Lines))));
        Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);
        for (int round = 0; round < 10; round++)
        {
            client.Receive(Lines * 10_000);
            Thread.Sleep(100);
        }

        Assert.Equal(0, handler.ClosedCount);
        client.EndSending();
        Assert.Empty(client.ReceiveToEnd());
    }

    [Fact]
    public void Moved_in_the_middle_of_messages_a_connection_loses_no_byte()
    {
        const int Lines = 60_000;
        var handler = new LambdaHandler { Received = EchoLine };
        using ServerFixture fixture = Server(Framing.Line, handler, static options => options with { WorkerCount = 3 });
        using TestClient client = fixture.Connect();
        byte[] lines = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, Lines).Select(static i => $"{i}\n")));
        Eventually.True(() => fixture.Rows().Count == 1);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        using var stop = new CancellationTokenSource();
        int moves = 0;
        var mover = new Thread(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                if (i % 16 == 15)
                {
                    Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 1 }));
                    Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = 3 }));
                }

                Act(fixture, row, ConnectionAction.Move, i % 3);
                Interlocked.Increment(ref moves);
            }
        });
        mover.Start();
        var sender = new Thread(() =>
        {
            var random = new Random(22);
            for (int at = 0; at < lines.Length;)
            {
                int packet = Math.Min(random.Next(1, 20_000), lines.Length - at);
                client.Send(lines.AsSpan(at, packet));
                at += packet;
            }
        });
        sender.Start();
        Assert.Equal(lines, client.Receive(lines.Length));
        sender.Join();
        Eventually.True(() => Volatile.Read(ref moves) > 50);
        client.Send("last\n"u8);
        Assert.Equal("last\n"u8.ToArray(), client.Receive(5));
        stop.Cancel();
        mover.Join();
        Assert.Equal(0, handler.ClosedCount);
        Assert.Equal(Lines + 1, Assert.Single(fixture.Rows()).MessagesReceived);
    }

    [Fact]
    public void Once_a_handler_asks_for_bytes_they_wait_for_its_requests()
    {
        var got = new ConcurrentQueue<string>();
        using ServerFixture fixture = Server(Framing.Line, new LambdaHandler
        {
            Received = (connection, message) =>
            {
                got.Enqueue($"line {Encoding.ASCII.GetString(message)}");
                if (message.SequenceEqual("ask"u8))
                {
                    connection.Read(5, (_, data, _) => got.Enqueue($"five {Encoding.ASCII.GetString(data)}"));
                    connection.ReadUntil(";"u8, 100, (_, data, _) => got.Enqueue($"until {Encoding.ASCII.GetString(data)}"));
                    connection.Read(3, static (c, data, _) => c.Write(data));
                }
            },
        });
        using TestClient client = fixture.Connect();
        client.Send("one\nask\na\nb\ncde\n;end\nmore\n"u8);
        Assert.Equal("end"u8.ToArray(), client.Receive(3));
        Assert.Equal(["line one", "line ask", "five a\nb\nc", "until de\n"], got);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.Equal(5, row.MessagesReceived);
    }

    [Fact]
    public void A_request_finds_its_delimiter_in_what_was_searched_for_a_lines_end()
    {
        var got = new ConcurrentQueue<string>();
        Connection? first = null;
        using ServerFixture fixture = Server(Framing.Line, new LambdaHandler
        {
            Opened = connection => first ??= connection,
            Received = (_, _) => first!.ReadUntil(";"u8, 100, (_, data, reason) => got.Enqueue($"{Encoding.ASCII.GetString(data)} {reason}")),
        });
        using TestClient client = fixture.Connect();
        Eventually.True(() => first is not null);
        using TestClient other = fixture.Connect();
        client.Send("part;"u8);
        Eventually.Equal(5, () => fixture.Server.BytesReceived);
        other.Send("ask\n"u8);
        Eventually.Equal(1, () => got.Count);
        Assert.Equal(["part None"], got);
    }

    private static ServerFixture Server(Framing framing, ConnectionHandler handler, Func<ServerOptions, ServerOptions>? with = null) => new(
        handler,
        options =>
        {
            options = options with { WorkerCount = 1, Framing = framing };
            return with is null ? options : with(options);
        });

    private static void EchoLine(Connection connection, ReadOnlySpan<byte> message)
    {
        Span<byte> answer = stackalloc byte[message.Length + 1];
        message.CopyTo(answer);
        answer[^1] = (byte)'\n';
        connection.Write(answer);
    }

    private static void Act(ServerFixture fixture, ConnectionInfo row, ConnectionAction action, int moveTo = -1) => Assert.True(fixture.Server.TryAct(
        new ConnectionRef(row.Id, row.Worker, row.Slot), action, Eventually.Patience, CancellationToken.None, out _, moveTo));

    /// <summary>Takes the flooding connection's lines, and answers the other's. Where these help the first one on, each does so once.</summary>
    private sealed class Flood(string way) : ConnectionHandler
    {
        private readonly bool _byRequests = way.StartsWith("requests", StringComparison.Ordinal);
        private readonly bool _helped = way.EndsWith("another connection", StringComparison.Ordinal);
        private ReadCallback? _next;
        private Connection? _flooder;
        private long _taken;
        private long _messages;
        private long _mostWaiting;

        internal long Messages => Volatile.Read(ref _messages);

        /// <summary>Bytes.</summary>
        internal long MostWaiting => Volatile.Read(ref _mostWaiting);

        public override void OnOpen(Connection connection)
        {
            _flooder ??= connection;
            if (_byRequests)
            {
                _next ??= OnRead;
                connection.ReadUntil("\n"u8, 100, _next);
            }
        }

        public override void OnReceived(Connection connection, ReadOnlySpan<byte> data)
        {
            if (connection != _flooder)
            {
                // From a callback that runs when all that has come has been received.
                connection.Write("."u8, (_, _) =>
                {
                    if (_helped)
                    {
                        _flooder!.ResumeReading();
                    }
                });
                return;
            }

            Count(data);
            if (_helped)
            {
                connection.PauseReading();
            }
        }

        private void OnRead(Connection connection, ReadOnlySpan<byte> data, CloseReason reason)
        {
            if (reason != CloseReason.None)
            {
                return;
            }

            if (connection != _flooder)
            {
                connection.Write("."u8);
                connection.ReadUntil("\n"u8, 100, _next!);
                if (_helped)
                {
                    _flooder!.ReadUntil("\n"u8, 100, _next!);
                }

                return;
            }

            Count(data);
            if (!_helped)
            {
                connection.ReadUntil("\n"u8, 100, _next!);
            }
        }

        private void Count(ReadOnlySpan<byte> line)
        {
            _taken += line.Length + 1;
            Volatile.Write(ref _messages, _messages + 1);
            Volatile.Write(ref _mostWaiting, Math.Max(_mostWaiting, _flooder!.BytesReceived - _taken));
        }
    }
}
