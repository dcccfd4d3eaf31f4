using System.Net;
using System.Net.Sockets;
using C10kServer.Engine.Load;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The load generator against servers that do not do what they should: it finds out, counts, and comes to an end.</summary>
public class LoadErrorTests
{
    // Connections that are loaded, and among them the one that is wronged.
    private const int Connections = 10;
    private const int Count = 2000;

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public void One_byte_that_is_wrong_is_found_out(int pipeline)
    {
        LoadReport report = RunWronged(pipeline, static (connection, data) =>
        {
            byte[] bytes = data.ToArray();
            bytes[^1] ^= 1;
            connection.Write(bytes);
        });
        Assert.Equal((1, 1), (report.WrongBytes, report.Errors));
        Assert.Contains("1 brought bytes that were not their own", Assert.Single(report.ErrorDetails), StringComparison.Ordinal);
    }

    [Fact]
    public void A_byte_too_many_is_found_out()
    {
        LoadReport report = RunWronged(1, static (connection, data) => connection.Write([.. data, 0]));
        Assert.Equal((1, 1), (report.WrongBytes, report.Errors));
    }

    [Fact]
    public void An_answer_that_is_dropped_among_others_is_found_out_by_the_next_one()
    {
        LoadReport report = RunWronged(8, static (connection, data) => connection.Write(data[64..]));
        Assert.Equal((1, 1), (report.WrongBytes, report.Errors));
    }

    [Fact]
    public void Answers_in_another_order_are_found_out()
    {
        LoadReport report = RunWronged(8, static (connection, data) => connection.Write([.. data[64..], .. data[..64]]));
        Assert.Equal((1, 1), (report.WrongBytes, report.Errors));
    }

    [Fact]
    public void The_answer_of_another_connection_is_found_out()
    {
        // On one worker, so that a handler may write on two of its connections.
        Connection? other = null;
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                other ??= connection;
                bool astray = connection != other && connection.BytesReceived == 64 * 50 && other.State == ConnectionState.Open;
                (astray ? other : connection).Write(data);
            },
        };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
        LoadReport report = fixture.Run(load => load with { Connections = 2, Count = 400, Duration = TimeSpan.Zero, Timeout = TimeSpan.FromMilliseconds(300) });

        // The one got too much, the other one nothing.
        Assert.Equal((1, 1), (report.WrongBytes, report.Timeouts));
    }

    [Fact]
    public void An_answer_that_never_comes_is_a_timeout()
    {
        var watch = Stopwatch.StartNew();
        LoadReport report = RunWronged(1, static (_, _) => { });
        Assert.Equal((1, 1), (report.Timeouts, report.Errors));
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.3, 10);
    }

    [Fact]
    public void A_reset_and_a_close_are_told_apart()
    {
        LoadReport reset = RunWronged(1, static (connection, _) => connection.Abort());
        Assert.Equal((1, 1), (reset.Resets, reset.Errors));
        Assert.Contains("Connection reset by peer (errno 104)", Assert.Single(reset.ErrorDetails), StringComparison.Ordinal);

        LoadReport closed = RunWronged(1, static (connection, _) => connection.Close());
        Assert.Equal((1, 1), (closed.Closes, closed.Errors));
    }

    [Theory]
    [InlineData(LoadMode.Echo)]
    [InlineData(LoadMode.Churn)]
    [InlineData(LoadMode.Idle)]
    public void A_server_that_never_answers_holds_nobody_for_longer_than_the_timeouts(LoadMode mode)
    {
        using var fixture = new ServerFixture(new LambdaHandler());
        var watch = Stopwatch.StartNew();
        LoadReport report = fixture.Run(load => load with
        {
            Mode = mode, Connections = Connections, Duration = TimeSpan.FromMilliseconds(100), Timeout = TimeSpan.FromMilliseconds(200),
        });
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.2, 5);
        Assert.Equal(0, report.Requests);
        Assert.Equal(Connections, report.Timeouts);
        Assert.Equal(Connections, report.Errors);
        Assert.Equal(TimeSpan.Zero, report.Latency.Max);
    }

    [Fact]
    public void A_server_that_speaks_out_of_turn_is_found_out_while_nothing_is_sent()
    {
        using var fixture = new ServerFixture(new LambdaHandler { Opened = static connection => connection.Write("hello"u8) });
        LoadReport report = fixture.Run(load => load with { Mode = LoadMode.Idle, Connections = Connections, Duration = TimeSpan.FromSeconds(1) });
        Assert.Equal((Connections, 0), (report.WrongBytes, report.Requests));
    }

    [Theory]
    [InlineData(LoadMode.Echo)]
    [InlineData(LoadMode.Idle)]
    public void When_the_server_stops_the_load_is_over(LoadMode mode)
    {
        using var fixture = new ServerFixture(new LambdaHandler { Received = static (connection, data) => connection.Write(data) });
        var options = new LoadOptions { Target = fixture.EndPoint, Mode = mode, Connections = Connections, Duration = TimeSpan.FromMinutes(10) };
        using var load = new LoadGenerator(options);
        load.Start();
        Eventually.True(() => load.Progress is { Phase: LoadPhase.Holding or LoadPhase.Sending, Connected: Connections });
        fixture.Server.Stop();
        Assert.True(load.Wait(Eventually.Patience));
        Assert.Equal(Connections, load.Report!.Errors);
        Assert.Equal(Connections, load.Report.Closes + load.Report.Resets);
    }

    [Fact]
    public void Connects_refused_in_the_midst_of_a_churn_are_counted_and_it_goes_on_to_its_end()
    {
        using var fixture = new ServerFixture(new LambdaHandler { Received = static (connection, data) => connection.Write(data) });
        var options = new LoadOptions { Target = fixture.EndPoint, Mode = LoadMode.Churn, Connections = Connections, Count = 100_000, Duration = TimeSpan.FromSeconds(1) };
        using var load = new LoadGenerator(options);
        load.Start();
        Eventually.True(() => load.Progress.Requests > 100);
        fixture.Server.Stop();
        Assert.True(load.Wait(Eventually.Patience));
        LoadReport report = load.Report!;
        Assert.Contains(report.ErrorDetails, static detail => detail.Contains("Connection refused (errno 111). Nobody listens there", StringComparison.Ordinal));

        // One after another, with a pause: not as fast as a processor can.
        Assert.InRange(report.FailedConnects, 2, 2000);
    }

    [Theory]
    [InlineData(LoadMode.Echo, 0)]
    [InlineData(LoadMode.Churn, 0)]
    [InlineData(LoadMode.Churn, 50)]
    [InlineData(LoadMode.Idle, 0)]
    public void Where_nobody_listens_it_says_so_at_once(LoadMode mode, double rate)
    {
        int descriptors = ProcessLedger.Descriptors();
        var watch = Stopwatch.StartNew();
        var e = Assert.Throws<LoadException>(() => Loads.Run(FreePort(), load => load with { Mode = mode, Connections = Connections, Rate = rate }));
        Assert.Equal((LoadFailure.ConnectFailed, Errno.ECONNREFUSED), (e.Failure, e.Errno));

        // More than those wanted at a time may have been begun at a rate, before the first ones failed.
        Assert.Matches(rate > 0 ? @"in 1\d tries: Connection refused" : "in 10 tries: Connection refused", e.Message);
        Assert.True(watch.Ran < TimeSpan.FromSeconds(5), $"it took {watch.Elapsed}");
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void Where_there_is_no_such_socket_it_says_so()
    {
        var e = Assert.Throws<LoadException>(() => Loads.Run(new UnixEndPoint("/nowhere/at.all"), static load => load));
        Assert.Equal(LoadFailure.ConnectFailed, e.Failure);
        Assert.Contains("No such file or directory", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_connect_that_takes_too_long_is_given_up()
    {
        // Nobody accepts: two connections fit into the queue, and the kernel drops what else comes.
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        var watch = Stopwatch.StartNew();
        LoadReport report = Loads.Run(listener.LocalEndPoint!, load => load with
        {
            Connections = Connections, ConnectTimeout = TimeSpan.FromMilliseconds(300), Timeout = TimeSpan.FromMilliseconds(200), Duration = TimeSpan.FromMilliseconds(50),
        });
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.3, 10);
        Assert.Equal(2, report.Connections);
        Assert.Equal(Connections - 2, report.FailedConnects);
        Assert.Equal(2, report.Timeouts);
        Assert.Contains(report.ErrorDetails, static detail => detail.StartsWith("8 could not connect: Connection timed out", StringComparison.Ordinal));
    }

    [Fact]
    public void More_connections_than_descriptors_are_refused_before_the_first_one()
    {
        (int free, int limit, _) = OpenDescriptors.Count();
        var options = new LoadOptions { Target = new IPEndPoint(IPAddress.Loopback, 1), Connections = free + 100 };
        int descriptors = ProcessLedger.Descriptors();
        var e = Assert.Throws<LoadException>(() => new LoadGenerator(options));
        Assert.Equal(LoadFailure.DescriptorLimit, e.Failure);
        Assert.Contains($"may have {limit} descriptors", e.Message, StringComparison.Ordinal);
        Assert.Contains($"too few for {free + 100} connections", e.Message, StringComparison.Ordinal);

        // A server in this process takes as many again.
        Assert.Throws<LoadException>(() => new LoadGenerator(options with { Connections = (free / 2) + 100, IsOwnServer = true }));
        new LoadGenerator(options with { Connections = (free / 2) + 100 }).Dispose();
        ProcessLedger.AssertDescriptors(descriptors);
    }

    /// <summary>A load whose 50th message on one of its connections is answered in another way.</summary>
    private static LoadReport RunWronged(int pipeline, ReceivedAction wrong)
    {
        int chosen = 0;
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                if (connection.BytesReceived >= 64 * 50 && data.Length == 64 * pipeline && Interlocked.Exchange(ref chosen, 1) == 0)
                {
                    wrong(connection, data);
                    return;
                }

                connection.Write(data);
            },
        };
        using var fixture = new ServerFixture(handler);
        LoadReport report = fixture.Run(load => load with
        {
            Connections = Connections, Count = Count, Duration = TimeSpan.Zero, Pipeline = pipeline, Timeout = TimeSpan.FromMilliseconds(300),
        });

        // The others did the rest; what the one had in flight is not sent again.
        Assert.Equal(1, chosen);
        Assert.Equal(Connections, report.Connections);
        Assert.InRange(report.Requests, Count - pipeline, Count - 1);
        return report;
    }

    private static IPEndPoint FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
