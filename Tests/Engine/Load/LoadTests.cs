using System.Net;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Load;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The load generator against servers that do what they should.</summary>
public class LoadTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(64, 1)]
    [InlineData(64, 16)]
    [InlineData(65521, 3)]
    [InlineData(3_000_000, 2)]
    public void An_echo_load_sends_exactly_its_count_and_checks_every_byte(int size, int pipeline)
    {
        int count = size > 1_000_000 ? 50 : 5000;
        using var fixture = new ServerFixture(new EchoHandler());
        LoadReport report = fixture.Run(load => load with
        {
            Connections = 10, Count = count, Duration = TimeSpan.Zero, MessageSize = size, Pipeline = pipeline,
        });
        report.AssertNoErrors();
        Assert.Equal(10, report.Connections);
        Assert.Equal(count, report.Requests);
        Assert.Equal(count, report.Latency.Count);
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Assert.Equal((long)count * size, fixture.Server.BytesReceived);
        Assert.Equal(10, fixture.Server.Accepted);
    }

    [Fact]
    public void An_echo_load_ends_with_its_duration()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        var watch = Stopwatch.StartNew();
        LoadReport report = fixture.Run(load => load with { Connections = 20, Duration = TimeSpan.FromMilliseconds(300) });
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.3, 5);
        report.AssertNoErrors();
        Assert.InRange(report.Duration.TotalSeconds, 0.3, 2);
        Assert.True(report.Requests > 100, $"{report.Requests} requests");
        Assert.Equal(report.Requests / report.Duration.TotalSeconds, report.RequestsPerSecond, report.RequestsPerSecond * 0.01);
        Assert.Equal(report.RequestsPerSecond * 64, report.BytesPerSecond, 1.0);
        Assert.InRange(report.Latency.Quantile(0.5), TimeSpan.FromMicroseconds(1), report.Latency.Quantile(0.99));
    }

    [Fact]
    public void Whichever_of_count_and_duration_is_first_ends_it()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        LoadReport report = fixture.Run(load => load with { Connections = 2, Count = 500, Duration = TimeSpan.FromMinutes(10) });
        Assert.Equal(500, report.Requests);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void A_churn_load_makes_exactly_its_count_of_connections(string address)
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [IPAddress.Parse(address)] });
        LoadReport report = fixture.Run(load => load with
        {
            Mode = LoadMode.Churn, Connections = 20, Count = 2000, Duration = TimeSpan.Zero, MessageSize = 100,
        });
        report.AssertNoErrors();
        Assert.Equal(2000, report.Requests);
        Assert.Equal(2000, report.Connections);
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Assert.Equal(2000, fixture.Server.Accepted);
        Assert.Equal(200_000, fixture.Server.BytesReceived);

        // The server may see one that is closed later than the next one that is made.
        Assert.InRange(fixture.Server.PeakConnectionCount, 1, 200);
    }

    [Fact]
    public void Churn_is_closed_as_by_a_client_on_loopback_and_reset_where_ports_would_run_out()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler, options => options with { Addresses = [IPAddress.Loopback, IPAddress.IPv6Loopback] });
        LoadOptions Once(LoadOptions load) => load with { Mode = LoadMode.Churn, Connections = 1, Count = 1, Duration = TimeSpan.Zero };
        Loads.Run(fixture.Server.EndPoints[0], Once).AssertNoErrors();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.PeerClosed, handler.LastReason);
        Loads.Run(fixture.Server.EndPoints[1], Once).AssertNoErrors();
        Eventually.Equal(2, () => handler.ClosedCount);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
    }

    [Fact]
    public void An_idle_load_holds_all_and_echoes_once_on_each()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        LoadReport report = fixture.Run(load => load with
        {
            Mode = LoadMode.Idle, Connections = 1500, Duration = TimeSpan.FromMilliseconds(200), MessageSize = 10,
        });
        report.AssertNoErrors();
        Assert.Equal(1500, report.Connections);
        Assert.Equal(1500, report.Requests);
        Assert.True(report.Duration >= TimeSpan.FromMilliseconds(200));
        Assert.Equal(1500, fixture.Server.PeakConnectionCount);
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Assert.Equal(15_000, fixture.Server.BytesReceived);
    }

    [Theory]
    [InlineData(LoadMode.Echo)]
    [InlineData(LoadMode.Churn)]
    [InlineData(LoadMode.Idle)]
    public void A_Unix_socket_is_loaded_though_its_accept_queue_is_short(LoadMode mode)
    {
        string path = Path.Combine(Path.GetTempPath(), $"c10k-load-{Environment.ProcessId}.sock");
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { Addresses = [], UnixPath = path, Backlog = 1 });
        LoadReport report = fixture.Run(load => load with
        {
            Mode = mode, Connections = 100, Count = mode == LoadMode.Idle ? 0 : 1000, Duration = mode == LoadMode.Idle ? TimeSpan.FromMilliseconds(10) : TimeSpan.Zero,
        });
        report.AssertNoErrors();
        Assert.Equal(mode == LoadMode.Idle ? 100 : 1000, report.Requests);
    }

    [Theory]
    [InlineData(LoadMode.Echo, 1)]
    [InlineData(LoadMode.Echo, 4)]
    [InlineData(LoadMode.Churn, 1)]
    public void With_a_rate_requests_are_sent_when_they_are_due(LoadMode mode, int pipeline)
    {
        using var fixture = new ServerFixture(new EchoHandler());
        LoadReport report = fixture.Run(load => load with
        {
            Mode = mode, Connections = 50, Pipeline = pipeline, Rate = 1000, Duration = TimeSpan.FromSeconds(1),
        });
        report.AssertNoErrors();

        // Due at 0, 1, 2, … 999 ms; the request at the very end is not.
        Assert.Equal(1000, report.Requests + report.Unsent);
        Assert.InRange(report.Unsent, 0, 50);
        Assert.InRange(report.Duration.TotalSeconds, 0.999, 1.5);
    }

    [Fact]
    public void A_stalled_server_shows_in_the_latency_at_a_rate_and_is_hidden_without_one()
    {
        TimeSpan stall = TimeSpan.FromMilliseconds(200);
        LoadReport open = RunWithStall(load => load with { Rate = 1000 });
        LoadReport closed = RunWithStall(static load => load);

        // 200 of some 1,500 requests came due in the stall, and each but the last ones waited for its end.
        Assert.InRange(open.Latency.Quantile(0.99).TotalMilliseconds, 150, 1500);
        Assert.InRange(open.Requests, 1400, 1500);

        // The ten connections sent one request each into the stall: too few for one percent.
        Assert.True(closed.Requests > 1500, $"{closed.Requests} requests");
        Assert.True(closed.Latency.Quantile(0.99) < stall / 2, $"{closed.Latency.Quantile(0.99)}");
        Assert.True(closed.Latency.Max >= 0.9 * stall, $"{closed.Latency.Max}");

        LoadReport RunWithStall(Func<LoadOptions, LoadOptions> with)
        {
            int messages = 0;
            var handler = new LambdaHandler
            {
                Received = (connection, data) =>
                {
                    if (++messages == 300)
                    {
                        Thread.Sleep(stall);
                    }

                    connection.Write(data);
                },
            };
            using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
            LoadReport report = fixture.Run(load => with(load with { Connections = 10, Duration = TimeSpan.FromSeconds(1.5) }));
            report.AssertNoErrors();
            return report;
        }
    }

    [Fact]
    public void What_a_server_could_not_be_sent_at_the_rate_is_told()
    {
        // Answers one request in 20 ms: of 1,000 a second, 50 get through.
        using var gate = new ManualResetEventSlim();
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                gate.Wait(TimeSpan.FromMilliseconds(20));
                connection.Write(data);
            },
        };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 });
        LoadReport report = fixture.Run(load => load with { Connections = 2, Rate = 1000, Duration = TimeSpan.FromSeconds(1) });
        report.AssertNoErrors();
        Assert.Equal(1000, report.Requests + report.Unsent);
        Assert.InRange(report.Unsent, 900, 999);
    }

    [Fact]
    public void In_steady_state_requests_allocate_nothing()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        Allocated(20_000);

        // All threads of the process count, the server's and those that test included: an object a request would be 24 bytes at least.
        long few = Allocated(1000);
        long many = Allocated(200_000);
        Assert.True(many - few < 1_000_000, $"1,000 requests allocate {few} bytes, 200,000 allocate {many}");

        long Allocated(int count)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            fixture.Run(load => load with { Connections = 20, Count = count, Duration = TimeSpan.Zero, Pipeline = 4 }).AssertNoErrors();
            return GC.GetTotalAllocatedBytes(precise: true) - before;
        }
    }

    [Theory]
    [InlineData(LoadMode.Echo, 0)]
    [InlineData(LoadMode.Echo, 100)]
    [InlineData(LoadMode.Churn, 0)]
    [InlineData(LoadMode.Idle, 0)]
    public void Stopped_it_ends_at_once_without_a_report_and_leaves_nothing(LoadMode mode, double rate)
    {
        using var fixture = new ServerFixture(new EchoHandler());
        int descriptors = ProcessLedger.Descriptors();
        var options = new LoadOptions
        {
            Target = fixture.EndPoint, Mode = mode, Rate = rate, Connections = 200, Duration = TimeSpan.FromMinutes(10), IsOwnServer = true,
        };
        using (var load = new LoadGenerator(options))
        {
            load.Start();
            Eventually.True(() => load.Progress is { Phase: LoadPhase.Holding or LoadPhase.Sending, Connected: > 0 });
            Assert.InRange(load.Progress.Left!.Value.TotalMinutes, 5, 10);
            Assert.Null(load.Report);
            var watch = Stopwatch.StartNew();
            load.Stop();
            Assert.True(load.Wait(Eventually.Patience));
            Assert.True(watch.Ran < TimeSpan.FromMilliseconds(400), $"it took {watch.Elapsed}");
            Assert.Null(load.Report);
        }

        Eventually.Equal(0, ProcessLedger.LoadThreads);
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void One_that_was_never_started_leaves_nothing()
    {
        int descriptors = ProcessLedger.Descriptors();
        new LoadGenerator(new LoadOptions { Target = new IPEndPoint(IPAddress.Loopback, 1), Rate = 5 }).Dispose();
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void Options_without_effect_or_out_of_range_are_refused_by_name()
    {
        var good = new LoadOptions { Target = new IPEndPoint(IPAddress.Loopback, 1) };
        good.Validate();
        AssertRefused(nameof(LoadOptions.Target), good with { Target = new IPEndPoint(IPAddress.Loopback, 0) });
        AssertRefused(nameof(LoadOptions.Target), good with { Target = new UnixEndPoint(new string('x', 200)) });
        AssertRefused(nameof(LoadOptions.Connections), good with { Connections = 0 });
        AssertRefused(nameof(LoadOptions.MessageSize), good with { MessageSize = 0 });
        AssertRefused(nameof(LoadOptions.MessageSize), good with { MessageSize = LoadOptions.MaxMessageSize + 1 });
        AssertRefused(nameof(LoadOptions.Pipeline), good with { Pipeline = 0 });
        AssertRefused(nameof(LoadOptions.Pipeline), good with { Pipeline = 2, Mode = LoadMode.Churn });
        AssertRefused(nameof(LoadOptions.Pipeline), good with { Pipeline = 10_000, Connections = 100_000 });
        AssertRefused(nameof(LoadOptions.Rate), good with { Rate = -1 });
        AssertRefused(nameof(LoadOptions.Rate), good with { Rate = double.NaN });
        AssertRefused(nameof(LoadOptions.Rate), good with { Rate = 5, Mode = LoadMode.Idle });
        AssertRefused(nameof(LoadOptions.Count), good with { Count = -1 });
        AssertRefused(nameof(LoadOptions.Count), good with { Count = 5, Mode = LoadMode.Idle });
        AssertRefused(nameof(LoadOptions.Duration), good with { Duration = TimeSpan.Zero });
        AssertRefused(nameof(LoadOptions.Timeout), good with { Timeout = TimeSpan.Zero });
        AssertRefused(nameof(LoadOptions.ConnectTimeout), good with { ConnectTimeout = TimeSpan.Zero });

        static void AssertRefused(string name, LoadOptions options) =>
            Assert.Equal(name, Assert.ThrowsAny<ArgumentException>(() => new LoadGenerator(options)).ParamName);
    }
}
