using System.Buffers;
using System.Diagnostics.Tracing;
using System.Globalization;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What waits between workers and handler threads is bounded, in both directions, and memory is given back.</summary>
public class SessionLimitTests
{
    [Fact]
    public void A_client_that_floods_is_not_read_while_its_lines_wait_and_is_answered_in_order()
    {
        const int Count = 60_000;
        using var release = new ManualResetEventSlim();
        using var fixture = new SessionFixture(1, (session, message) =>
        {
            release.Wait();
            session.SendLine((string)message.Data!);
        });
        using TestClient client = fixture.Connect();
        string[] lines = [.. Lines.Numbered(0, Count).Select(static line => line.PadRight(100, '.'))];
        var sender = new Thread(() => client.SendLines(lines));
        sender.Start();
        Eventually.True(() => fixture.RowOf(client).ReadPaused);
        long received = fixture.Server.MessagesReceived;

        // A line may be over the bound, and the threads have none back so far.
        Assert.InRange(fixture.Outstanding, 1, SessionScheduler.SessionLimit + 1000);
        Assert.InRange(received, 1, SessionScheduler.SessionLimit / 100);
        Thread.Sleep(50);
        Assert.Equal(received, fixture.Server.MessagesReceived);
        release.Set();
        client.ExpectLines(lines);
        sender.Join();
        fixture.AssertAtRest();
        Assert.False(fixture.RowOf(client).ReadPaused);
        client.SendLine("and on");
        client.ExpectLine("and on");
    }

    [Fact]
    public void All_together_have_no_more_waiting_than_the_bound_and_all_are_answered()
    {
        // Each stays below its own bound; all together would be over that of the scheduler.
        const int Count = 1000;
        int perClient = Count * (SessionScheduler.MessageOverhead + 1);
        Assert.True(perClient < SessionScheduler.SessionLimit);
        int clientCount = (int)(SessionScheduler.Limit / perClient) + 150;
        using var release = new ManualResetEventSlim();
        int left = clientCount * Count;
        using var fixture = new SessionFixture(
            2,
            (_, _) =>
            {
                release.Wait();
                Interlocked.Decrement(ref left);
            },
            with: static options => options with { WorkerCount = 2 });
        string[] lines = [.. Enumerable.Repeat("x", Count)];
        var clients = new List<TestClient>();
        for (int i = 0; i < clientCount; i++)
        {
            clients.Add(fixture.Connect());
            clients[i].SendLines(lines);
        }

        Eventually.True(() => fixture.Outstanding > SessionScheduler.Limit);
        Eventually.True(() => fixture.Rows().Any(static row => row.ReadPaused));

        // What is read in one turn is published at its end: so much may be over.
        Assert.InRange(fixture.Outstanding, SessionScheduler.Limit, SessionScheduler.Limit + (8 * 1024 * 1024));
        release.Set();
        Eventually.Equal(0, () => Volatile.Read(ref left));
        fixture.AssertAtRest();
        Eventually.True(() => fixture.Rows().All(static row => !row.ReadPaused));
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Much_output_is_sent_at_once_while_its_handler_goes_on()
    {
        // By then its worker looks around every 64 ms: a quick handler would meet the bound meanwhile, though its peer reads.
        const int Rounds = 9;
        const int Pieces = 40;
        const int Size = 1000;
        long begun = 0;
        using var goOn = new SemaphoreSlim(0);
        using var fixture = new SessionFixture(1, (session, _) =>
        {
            Thread.Sleep(200);
            Volatile.Write(ref begun, Stopwatch.GetTimestamp());
            for (int i = 0; i < Pieces; i++)
            {
                session.Send(Keyed.Bytes(1, Size, offset: i * Size));
            }

            goOn.Wait();
        });
        using TestClient client = fixture.Connect();
        var took = new List<double>();
        for (int i = 0; i < Rounds; i++)
        {
            client.SendLine("begin");
            byte[] first = client.Receive(1);
            took.Add(Stopwatch.GetElapsedTime(Volatile.Read(ref begun)).TotalMilliseconds);
            goOn.Release();
            Keyed.Verify(1, [.. first, .. client.Receive((Pieces * Size) - 1)]);
            fixture.AssertAtRest();
        }

        took.Sort();
        Assert.True(took[Rounds / 2] < 10, $"the median is {took[Rounds / 2]:0.0} ms");
    }

    [Fact]
    public void A_million_lines_leave_the_heap_as_it_was()
    {
        const int Clients = 10;
        const int Count = 1000;
        const int Rounds = 100;
        using var fixture = new SessionFixture(2, static (session, message) => session.SendLine((string)message.Data!));
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        string[] lines = Lines.Numbered(0, Count);
        Round();
        Round();
        fixture.AssertAtRest();
        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < Rounds; i++)
        {
            Round();
        }

        fixture.AssertAtRest();

        // A byte a line would be a million.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 500_000);
        clients.ForEach(static client => client.Dispose());

        void Round()
        {
            clients.ForEach(client => client.SendLines(lines));
            clients.ForEach(client => client.ExpectLines(lines));
        }
    }

    [Fact]
    public void Buffers_that_were_rented_for_output_are_given_back_whatever_ends_the_connection()
    {
        // Of a size that nobody else asks for.
        const int Size = (1 << 22) + 1;
        using var pool = new PoolLedger(Size);
        Session? kept = null;
        using (var fixture = new SessionFixture(2, (session, message) =>
        {
            if (message.Data is "keep")
            {
                kept = session;
                return;
            }

            session.Send(new byte[Size]);
            if (message.Data is "abort")
            {
                session.Abort();
            }
            else if (message.Data is "close")
            {
                session.Close();
            }
        }))
        {
            using TestClient reader = fixture.Connect();
            for (int i = 0; i < 3; i++)
            {
                reader.SendLine("send");
                reader.Receive(Size);
            }

            foreach (string end in (string[])["abort", "close", "stop"])
            {
                int rented = pool.Rented;
                using TestClient client = fixture.Connect();
                client.SendLine(end);
                Eventually.True(() => pool.Rented > rented);
            }

            // Put in just before the end, so that the worker has not taken it out.
            using TestClient last = fixture.Connect();
            last.SendLine("keep");
            Eventually.True(() => kept is not null);
            PostedOf(kept!) = true;
            Assert.True(kept!.Send(new byte[Size]));
            last.Reset();
            fixture.AssertAtRest();
        }

        Assert.Equal(7, pool.Rented);
        Eventually.Equal(7, () => pool.Returned);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_posted")]
    private static extern ref bool PostedOf(Session session);

    /// <summary>What the shared pool gives out and gets back of one size.</summary>
    private sealed class PoolLedger(int size) : EventListener
    {
        private readonly int _length = ArrayPool<byte>.Shared.Rent(size) is var array && array.Length > 0 ? array.Length : 0;
        private int _rented;
        private int _returned;

        internal int Rented => Volatile.Read(ref _rented);

        internal int Returned => Volatile.Read(ref _returned);

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == "System.Buffers.ArrayPoolEventSource")
            {
                EnableEvents(eventSource, System.Diagnostics.Tracing.EventLevel.Verbose);
            }
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            if (eventData.Payload is { Count: > 1 } payload && Convert.ToInt32(payload[1], CultureInfo.InvariantCulture) == _length)
            {
                if (eventData.EventName == "BufferRented")
                {
                    Interlocked.Increment(ref _rented);
                }
                else if (eventData.EventName == "BufferReturned")
                {
                    Interlocked.Increment(ref _returned);
                }
            }
        }
    }
}
