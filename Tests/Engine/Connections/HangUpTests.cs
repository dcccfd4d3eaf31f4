using System.Net;
using System.Net.Sockets;
using System.Text;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>
/// A peer that sends and leaves while its connection does not read. A Unix socket raises HUP then, at once and for as long as it is watched; TCP
/// does not. What was sent in order arrives in either case, and nothing spins meanwhile (pitfall 51).
/// </summary>
public sealed class HangUpTests : IDisposable
{
    private const int Size = 50_000;
    private const int Lines = 5_000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("c10k");
    private string SocketPath => Path.Combine(_folder.FullName, "s");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Lines_that_wait_for_their_turn_are_all_handled_though_the_peer_has_left(bool unix)
    {
        int lines = 0;
        var handler = new LambdaHandler { Received = (_, line) => lines += IsLine(lines, line) };
        using ServerFixture fixture = Start(handler, unix, static options => options with { Framing = Framing.Line });
        SendAndLeave(fixture, unix, AllLines());
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.PeerClosed, handler.LastReason);
        Assert.Equal(Lines, lines);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Lines_for_handler_threads_that_lag_behind_are_all_handled_though_the_peer_has_left(bool unix)
    {
        using var left = new ManualResetEventSlim();
        int lines = 0;
        using (var fixture = new SessionFixture(
            threads: 1,
            (_, message) =>
            {
                Assert.True(left.Wait(Eventually.Patience));
                lines += IsLine(lines, Encoding.ASCII.GetBytes((string)message.Data!));
            },
            with: options => Listening(options, unix)))
        {
            SendAndLeave(fixture.Server, unix, AllLines());
            Eventually.True(() => fixture.Rows() is [{ ReadPaused: true, BytesReceived: > 0 }]);
            AssertQuiet(fixture.Server);
            left.Set();
            Eventually.Equal(1, () => fixture.Server.Closed);
            Assert.Equal(CloseReason.PeerClosed, Assert.Single(fixture.Server.GetClosed()).CloseReason);
        }

        Assert.Equal(Lines, lines);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Bytes_for_a_connection_that_an_administrator_has_paused_arrive_after_the_peer_has_left(bool unix, bool moves)
    {
        var handler = new LambdaHandler { Received = Verify };
        using ServerFixture fixture = Start(handler, unix, static options => options with { WorkerCount = 2 });
        using (Socket client = Connect(fixture.Server, unix))
        {
            Eventually.Equal(1, () => handler.OpenedCount);
            Act(fixture, ConnectionAction.PauseReading);
            Send(client, Keyed.Bytes(1, Size));
        }

        AssertQuiet(fixture.Server);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.Equal((ConnectionState.Open, 0L), (row.State, row.BytesReceived));
        if (moves)
        {
            Act(fixture, ConnectionAction.Move, moveTo: 1 - row.Worker);
            AssertQuiet(fixture.Server);
            Assert.Equal(1 - row.Worker, Assert.Single(fixture.Rows()).Worker);
        }

        Act(fixture, ConnectionAction.ResumeReading);
        AssertEnd(fixture, handler, CloseReason.PeerClosed, Size);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_for_a_handler_that_has_paused_arrive_after_the_peer_has_left(bool unix)
    {
        Connection? paused = null;
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                if (paused is null)
                {
                    paused = connection;
                    connection.PauseReading();
                }
                else
                {
                    paused.ResumeReading();
                }
            },
            Received = Verify,
        };
        using ServerFixture fixture = Start(handler, unix);
        SendAndLeave(fixture, unix, Keyed.Bytes(1, Size));
        Eventually.Equal(1, () => handler.OpenedCount);
        AssertQuiet(fixture.Server);
        using Socket resumes = Connect(fixture.Server, unix);
        AssertEnd(fixture, handler, CloseReason.PeerClosed, Size);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_that_nobody_has_asked_for_yet_arrive_after_the_peer_has_left(bool unix)
    {
        Connection? pulling = null;
        int received = 0;
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                if (pulling is null)
                {
                    pulling = connection;
                    connection.Read(1, (_, data, _) => received += data.Length);
                }
                else
                {
                    pulling.Read(Size - 1, (_, data, _) =>
                    {
                        Keyed.Verify(1, data, received);
                        received += data.Length;
                    });
                    pulling.Read(1, (ended, _, reason) =>
                    {
                        Assert.Equal(CloseReason.PeerClosed, reason);
                        ended.Close();
                    });
                }
            },

            // Not the end that is told here, but the request that meets it, closes.
            PeerClosed = static _ => { },
        };
        using ServerFixture fixture = Start(handler, unix);
        SendAndLeave(fixture, unix, Keyed.Bytes(1, Size));
        Eventually.True(() => Volatile.Read(ref received) == 1);
        AssertQuiet(fixture.Server);
        using Socket asks = Connect(fixture.Server, unix);
        AssertEnd(fixture, handler, CloseReason.PeerClosed, Size);
        Assert.Equal(Size, received);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_that_came_during_backpressure_arrive_after_the_peer_has_read_all_and_left(bool unix)
    {
        const int Answer = 3_000_000;
        var handler = new LambdaHandler
        {
            Opened = static connection => connection.Write(Keyed.Bytes(2, Answer)),
            Received = Verify,
        };
        using ServerFixture fixture = Start(handler, unix);
        using (Socket client = Connect(fixture.Server, unix))
        {
            Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);
            Send(client, Keyed.Bytes(1, Size));
            var answer = new byte[Answer];
            for (int n = 0; n < Answer;)
            {
                n += client.Receive(answer, n, Answer - n, SocketFlags.None);
            }

            Keyed.Verify(2, answer);
        }

        AssertEnd(fixture, handler, CloseReason.PeerClosed, Size);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_half_closed_connection_whose_peer_has_left_waits_quietly_until_its_handler_goes_on(bool unix, bool writes)
    {
        Connection? waiting = null;
        var handler = new LambdaHandler
        {
            Opened = _ =>
            {
                if (waiting is not null && writes)
                {
                    waiting.Write(new byte[1000]);
                }
                else
                {
                    waiting?.Close();
                }
            },
            Received = Verify,
            PeerClosed = connection => waiting ??= connection,
        };
        using ServerFixture fixture = Start(handler, unix);
        using (Socket client = Connect(fixture.Server, unix))
        {
            Send(client, Keyed.Bytes(1, Size));
            client.Shutdown(SocketShutdown.Send);
            Eventually.True(() => fixture.Rows() is [{ State: ConnectionState.HalfClosed }]);
        }

        AssertQuiet(fixture.Server);
        Assert.Equal(ConnectionState.HalfClosed, Assert.Single(fixture.Rows()).State);
        using Socket goesOn = Connect(fixture.Server, unix);
        AssertEnd(fixture, handler, writes ? CloseReason.Reset : CloseReason.PeerClosed, Size);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_peer_that_leaves_without_reading_its_queued_answer_is_a_reset(bool unix)
    {
        var handler = new LambdaHandler { Opened = static connection => connection.Write(Keyed.Bytes(2, 4_000_000)) };
        using ServerFixture fixture = Start(handler, unix);
        using (Socket client = Connect(fixture.Server, unix))
        {
            Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);
        }

        AssertEnd(fixture, handler, CloseReason.Reset, 0);
        AssertQuiet(fixture.Server);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_Unix_peer_had_sent_is_handled_though_it_left_with_an_answer_unread(bool paused)
    {
        int lines = 0;
        var handler = new LambdaHandler
        {
            Opened = static connection => connection.Write("an answer"u8),
            Received = (_, line) => lines += IsLine(lines, line),
        };
        using ServerFixture fixture = Start(handler, unix: true, static options => options with { Framing = Framing.Line });
        using (Socket client = Connect(fixture.Server, unix: true))
        {
            Eventually.True(() => client.Available > 0);
            if (paused)
            {
                Act(fixture, ConnectionAction.PauseReading);
            }

            Send(client, AllLines());
        }

        if (paused)
        {
            AssertQuiet(fixture.Server);
            Act(fixture, ConnectionAction.ResumeReading);
        }

        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(Lines, lines);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
    }

    [Fact]
    public void A_Unix_peer_that_has_shut_down_and_takes_nothing_is_a_reset_and_no_spin()
    {
        var handler = new LambdaHandler { Opened = static connection => connection.Write(Keyed.Bytes(2, 4_000_000)) };
        using ServerFixture fixture = Start(handler, unix: true);
        using Socket client = Connect(fixture.Server, unix: true);
        Eventually.True(() => fixture.Rows() is [{ ReadPaused: true }]);

        // The socket stays, and with it the bytes in it: it never becomes writable, so that HUP alone tells.
        client.Shutdown(SocketShutdown.Both);
        AssertEnd(fixture, handler, CloseReason.Reset, 0);
    }

    private static int IsLine(int number, ReadOnlySpan<byte> line)
    {
        Assert.Equal($"line {number:D4}", Encoding.ASCII.GetString(line));
        return 1;
    }

    private static byte[] AllLines() => Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, Lines).Select(static i => $"line {i:D4}\n")));

    // What came before this piece is counted already.
    private static void Verify(Connection connection, ReadOnlySpan<byte> data) =>
        Keyed.Verify(1, data, (int)connection.BytesReceived - data.Length);

    private static void Act(ServerFixture fixture, ConnectionAction action, int moveTo = -1)
    {
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.True(fixture.Server.TryAct(
            new ConnectionRef(row.Id, row.Worker, row.Slot), action, Eventually.Patience, TestContext.Current.CancellationToken, out _, moveTo));
    }

    private static void AssertEnd(ServerFixture fixture, LambdaHandler handler, CloseReason reason, long received)
    {
        Eventually.Equal(1, () => handler.ClosedCount);
        Eventually.Equal(1, () => fixture.Server.GetClosed().Count);
        ConnectionInfo row = fixture.Server.GetClosed()[0];
        Assert.Equal((reason, received), (row.CloseReason, row.BytesReceived));
    }

    /// <summary>As many turns in a quarter of a second as what is asked for and a wheel take, not thousands.</summary>
    private static void AssertQuiet(Server server)
    {
        long before = server.GetWorkers().Sum(static worker => worker.Wakeups);
        Thread.Sleep(250);
        Assert.InRange(server.GetWorkers().Sum(static worker => worker.Wakeups) - before, 0, 100);
    }

    private static void Send(Socket client, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            data = data[client.Send(data)..];
        }
    }

    private ServerFixture Start(LambdaHandler handler, bool unix, Func<ServerOptions, ServerOptions>? with = null) => new(handler, options =>
    {
        options = Listening(options with { WorkerCount = 1 }, unix);
        return with is null ? options : with(options);
    });

    private ServerOptions Listening(ServerOptions options, bool unix) => unix ? options with { Addresses = [], UnixPath = SocketPath } : options;

    private void SendAndLeave(ServerFixture fixture, bool unix, byte[] data) => SendAndLeave(fixture.Server, unix, data);

    private void SendAndLeave(Server server, bool unix, byte[] data)
    {
        using Socket client = Connect(server, unix);
        Send(client, data);
    }

    private Socket Connect(Server server, bool unix)
    {
        int patience = (int)Eventually.Patience.TotalMilliseconds;
        Socket socket = unix
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.ReceiveTimeout = socket.SendTimeout = patience;
        socket.ReceiveBufferSize = 4096;
        socket.Connect(unix ? new UnixDomainSocketEndPoint(SocketPath) : (IPEndPoint)server.EndPoints[0]);
        return socket;
    }
}
