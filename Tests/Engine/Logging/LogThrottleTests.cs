using System.Net.Sockets;
using System.Text.RegularExpressions;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public partial class LogThrottleTests
{
    [Fact]
    public void Of_a_flood_from_many_threads_a_few_a_second_pass_and_every_other_one_is_counted()
    {
        const int Threads = 8;
        const int Each = 50_000;
        var throttle = new LogThrottle();
        int passed = 0;
        for (int second = 1; second <= 3; second++)
        {
            long now = (second * 1000L) + 7;
            Thread[] threads =
            [
                .. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
                {
                    for (int i = 0; i < Each; i++)
                    {
                        if (throttle.TryPass(now))
                        {
                            Interlocked.Increment(ref passed);
                        }
                    }
                })),
            ];
            Array.ForEach(threads, static thread => thread.Start());
            Array.ForEach(threads, static thread => thread.Join());
            Assert.Equal(second * LogThrottle.Most, passed);
            Assert.Equal((Threads * Each) - LogThrottle.Most, throttle.TakeLeftOut());
            Assert.Equal(0, throttle.TakeLeftOut());
        }
    }

    [Fact]
    public void A_thread_with_an_older_reading_of_the_clock_begins_no_new_second()
    {
        var throttle = new LogThrottle();
        for (int i = 0; i < LogThrottle.Most; i++)
        {
            Assert.True(throttle.TryPass(5000));
        }

        Assert.False(throttle.TryPass(4999));
        Assert.False(throttle.TryPass(5999));
        Assert.True(throttle.TryPass(6000));
        Assert.Equal(2, throttle.TakeLeftOut());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_handler_that_throws_in_a_flood_is_told_to_the_last_and_pushes_nothing_out_of_the_log(bool factory)
    {
        const int Count = 3000;
        int thrown = 0;
        var handler = new LambdaHandler { Opened = _ => Throw() };
        using var fixture = new ServerFixture(() => factory ? MakeNone() : handler) { ExpectedHandlerErrors = Count };
        long started = Clock.Now;
        for (int i = 0; i < Count; i++)
        {
            try
            {
                using TestClient client = fixture.Connect();
            }
            catch (SocketException e) when (factory && e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // Refused sooner than connect could look. It was accepted all the same, and is counted below.
            }
        }

        Eventually.Equal(Count, () => fixture.Server.HandlerErrors);
        EventLog log = fixture.Server.Options.Log;

        // While it runs, and without another one: the second's end tells.
        Eventually.Equal(Count, () => Told(log));
        long seconds = ((Clock.Now - started) / 1000) + 2;
        IReadOnlyList<EventRecord> records = log.GetRecords();
        Assert.Equal("ServerStarted", records[0].Name);
        Assert.InRange(records.Count(static record => record.Exception is not null), 1, seconds * LogThrottle.Most);

        // With each that is logged at most one on those that were left out; and the start. A machine that is busy holds up workers, too.
        Assert.InRange(records.Count(static record => !record.Name.Contains("Stall", StringComparison.Ordinal)), 2, (seconds * 2 * LogThrottle.Most) + 2);
        Assert.StartsWith("thrown ", fixture.Server.LastError, StringComparison.Ordinal);

        LambdaHandler MakeNone()
        {
            Throw();
            return handler;
        }

        void Throw() => throw new InvalidOperationException($"thrown {Interlocked.Increment(ref thrown)}");
    }

    [Fact]
    public void What_was_left_out_just_before_the_end_is_told_at_the_end()
    {
        const int Count = 200;
        EventLog log;
        using (var fixture = new ServerFixture(new LambdaHandler { Opened = static _ => throw new InvalidOperationException("no") }))
        {
            fixture.ExpectedHandlerErrors = Count;
            log = fixture.Server.Options.Log;
            for (int i = 0; i < Count; i++)
            {
                using TestClient client = fixture.Connect();
            }

            Eventually.Equal(Count, () => fixture.Server.HandlerErrors);
            fixture.Server.Stop();
            Assert.Equal(Count, Told(log));
        }

        Assert.Equal("ServerStopped", log.GetRecords()[^1].Name);
    }

    [Fact]
    public void The_last_error_is_the_last_one_though_it_was_not_logged()
    {
        const int Count = 50;
        int thrown = 0;
        var handler = new LambdaHandler { Opened = _ => throw new InvalidOperationException($"thrown {++thrown}") };
        using var fixture = new ServerFixture(handler, static options => options with { WorkerCount = 1 }) { ExpectedHandlerErrors = Count };
        for (int i = 0; i < Count; i++)
        {
            using TestClient client = fixture.Connect();
        }

        Eventually.Equal(Count, () => fixture.Server.HandlerErrors);
        Eventually.Equal($"thrown {Count}", () => fixture.Server.LastError);
    }

    [Fact]
    public void An_exception_that_cannot_be_described_is_the_handlers_and_not_the_servers()
    {
        using var fixture = new ServerFixture(new LambdaHandler { Opened = static _ => throw new UnspeakableException() });
        fixture.ExpectedHandlerErrors = 1;
        using (TestClient client = fixture.Connect())
        {
            Assert.Empty(client.ReceiveToEnd());
        }

        Assert.Equal(ServerState.Running, fixture.Server.State);
        EventRecord record = Assert.Single(fixture.Server.Options.Log.GetRecords(), static record => record.Name == "HandlerFailed");
        Assert.Contains(nameof(UnspeakableException), record.Exception, StringComparison.Ordinal);
        Assert.Contains(nameof(UnspeakableException), fixture.Server.LastError, StringComparison.Ordinal);
    }

    /// <summary>Errors that the log tells of, one by one or in sum.</summary>
    private static long Told(EventLog log) => log.GetRecords().Sum(static record => record.Name switch
    {
        "HandlerFailed" or "HandlerFactoryFailed" => 1,
        "HandlerErrorsLeftOut" => long.Parse(Number().Match(record.Message).Value, System.Globalization.CultureInfo.InvariantCulture),
        _ => 0,
    });

    [GeneratedRegex(@"(?<=: )\d+(?= more)")]
    private static partial Regex Number();

    private sealed class UnspeakableException : Exception
    {
        public override string Message => throw new InvalidOperationException("no message");

        public override string ToString() => throw new InvalidOperationException("no text");
    }
}
