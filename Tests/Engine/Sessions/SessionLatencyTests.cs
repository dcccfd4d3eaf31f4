using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Handler threads that block hold up their own sessions and nobody else; and what is idle costs nothing.</summary>
public class SessionLatencyTests
{
    [Theory]
    [InlineData(2, 1, 1)]
    [InlineData(4, 1, 1)]
    [InlineData(4, 2, 1)]
    [InlineData(4, 3, 1)]
    [InlineData(2, 1, 2)]
    [InlineData(4, 3, 2)]
    public void Threads_that_block_hold_up_their_own_sessions_alone(int threads, int blocked, int workers)
    {
        const int Rounds = 50;
        using var release = new ManualResetEventSlim();
        using var fixture = Blocking(threads, release, workers);

        // Connections go round: the even ones are of one worker, the odd ones of the other, if there are two.
        List<TestClient> clients = [.. Enumerable.Range(0, 2 * blocked).Select(_ => fixture.Connect())];
        List<TestClient> held = [.. clients.Where(static (_, i) => i % 2 == 0)];
        held.ForEach(static client => client.SendLines(["block", "next"]));
        Eventually.Equal(threads - blocked, () => fixture.Asleep);
        TestClient other = clients[1];
        Assert.Equal(workers == 1, fixture.RowOf(other).Worker == fixture.RowOf(held[0]).Worker);
        var took = new List<double>();
        for (int i = 0; i < Rounds; i++)
        {
            took.Add(RoundTrip(other, $"line {i}").TotalMilliseconds);
        }

        took.Sort();
        Assert.True(took[Rounds / 2] < 10, $"the median is {took[Rounds / 2]:0.00} ms");
        Assert.True(took[^1] < 1000, $"the slowest took {took[^1]:0} ms");
        Assert.All(held, static client => Assert.Equal(0, client.Socket.Available));
        release.Set();
        held.ForEach(static client => client.ExpectLines(["block", "next"]));
        fixture.AssertAtRest();
        clients.ForEach(static client => client.Dispose());
    }

    [Theory]
    [InlineData(0, 1, "back")]
    [InlineData(500, 1, "back")]
    [InlineData(0, 1, "to another")]
    [InlineData(500, 1, "to another")]
    [InlineData(0, 2, "to another")]
    [InlineData(500, 2, "to another")]
    public void An_answer_before_a_message_that_blocks_goes_out_all_the_same(int heldMilliseconds, int workers, string way)
    {
        // The wake-up of the worker is saved for the next answer, which is long in coming.
        const int Rounds = 5;
        using var hold = new SemaphoreSlim(0);
        using var release = new SemaphoreSlim(0);
        Session? another = null;
        using var fixture = new SessionFixture(
            1,
            (session, message) =>
            {
                switch ((string)message.Data!)
                {
                    case "remember":
                        another = session;
                        session.SendLine("remembered");
                        break;
                    case "hold":
                        hold.Wait();
                        break;
                    case "block":
                        release.Wait();
                        break;
                    default:
                        (way == "back" ? session : another!).SendLine("answer");
                        break;
                }
            },
            with: options => options with { WorkerCount = workers });
        using TestClient holder = fixture.Connect();
        using TestClient receiver = fixture.Connect();
        using TestClient asker = fixture.Connect();
        using TestClient blocker = fixture.Connect();
        receiver.SendLine("remember");
        receiver.ExpectLine("remembered");
        var took = new List<double>();
        for (int i = 0; i < Rounds; i++)
        {
            // One after the other, so that they wait in this order.
            holder.SendLine("hold");
            Eventually.True(() => fixture.IsOwed && fixture.Scheduler.Count == 0);
            asker.SendLine("ask");
            Eventually.Equal(1, () => fixture.Scheduler.Count);
            blocker.SendLine("block");
            Eventually.Equal(2, () => fixture.Scheduler.Count);

            // By then the worker looks around but now and then.
            Thread.Sleep(heldMilliseconds);
            var watch = Stopwatch.StartNew();
            hold.Release();
            (way == "back" ? asker : receiver).ExpectLine("answer");
            took.Add(watch.Elapsed.TotalMilliseconds);
            release.Release();
            fixture.AssertAtRest();
        }

        took.Sort();
        Assert.True(took[Rounds / 2] < 100, $"the median is {took[Rounds / 2]:0.0} ms");
    }

    [Fact]
    public void Reading_goes_on_at_once_though_the_thread_that_made_room_is_at_a_message_that_blocks()
    {
        const int Size = SessionScheduler.SessionLimit + 1;
        using var hold = new SemaphoreSlim(0);
        using var release = new ManualResetEventSlim();
        using var fixture = new SessionFixture(
            1,
            (_, message) =>
            {
                if (message.Data is "block")
                {
                    release.Wait();
                }
                else
                {
                    hold.Wait();
                }
            },
            with: static options => options with { WorkerCount = 2 });
        using TestClient full = fixture.Connect();
        using TestClient blocker = fixture.Connect();
        full.SendLine(new string('x', Size));
        Eventually.True(() => fixture.RowOf(full).ReadPaused);
        blocker.SendLine("block");
        Eventually.Equal(1, () => fixture.Scheduler.Count);

        // Its own worker has nobody else to look for.
        hold.Release();
        Eventually.Equal(0, () => fixture.Scheduler.Count);
        var watch = Stopwatch.StartNew();
        full.SendLine("more");
        Eventually.Equal(3, () => fixture.Server.MessagesReceived);
        Assert.True(watch.Ran < TimeSpan.FromSeconds(2), $"after {watch.ElapsedMilliseconds} ms");
        hold.Release();
        release.Set();
    }

    [Fact]
    public void A_thousand_idle_sessions_wake_nobody()
    {
        const int Clients = 1000;
        using var fixture = new SessionFixture(
            4,
            static (session, message) => session.SendLine((string)message.Data!),
            with: static options => options with { WorkerCount = 2 });
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.SendLine("once"));
        clients.ForEach(static client => client.ExpectLine("once"));
        fixture.AssertAtRest();
        Eventually.Equal(4, () => fixture.Asleep);
        long wakeups = fixture.Wakeups;
        Thread.Sleep(300);

        // One that was still under way.
        Assert.InRange(fixture.Wakeups - wakeups, 0, 1);
        Assert.Equal(4, fixture.Asleep);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void While_a_handler_is_stuck_its_worker_looks_around_now_and_then()
    {
        using var release = new ManualResetEventSlim();
        using var fixture = Blocking(2, release, workers: 1);
        using TestClient client = fixture.Connect();
        client.SendLine("block");
        Eventually.Equal(1, () => fixture.Asleep);
        Thread.Sleep(200);
        long wakeups = fixture.Wakeups;
        TimeSpan cpu = ProcessLedger.EngineCpuTime();
        Thread.Sleep(1000);
        Assert.InRange(fixture.Wakeups - wakeups, 1, 20);

        // Two ticks of the kernel's, of which each may be a small piece.
        Assert.InRange((ProcessLedger.EngineCpuTime() - cpu).TotalMilliseconds, 0, 20);
        release.Set();
        client.ExpectLine("block");
    }

    private static SessionFixture Blocking(int threads, ManualResetEventSlim release, int workers) => new(
        threads,
        (session, message) =>
        {
            if (message.Data is "block")
            {
                release.Wait();
            }

            session.SendLine((string)message.Data!);
        },
        with: options => options with { WorkerCount = workers });

    private static TimeSpan RoundTrip(TestClient client, string line)
    {
        long begun = Stopwatch.GetTimestamp();
        client.SendLine(line);
        client.ExpectLine(line);
        return Stopwatch.GetElapsedTime(begun);
    }
}
