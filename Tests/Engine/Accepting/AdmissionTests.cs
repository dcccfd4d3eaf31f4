using System.Net.Sockets;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>How many connections there may be, and how they are counted.</summary>
public class AdmissionTests
{
    [Fact]
    public void Workers_that_accept_at_the_same_time_take_no_place_beyond_the_limit()
    {
        const int Limit = 3;
        const int Clients = 8;
        using var fixture = new ServerFixture(
            new EchoHandler(), options => options with { WorkerCount = 8, Dispatch = DispatchMode.ReusePort, MaxConnections = Limit });

        // Clients come and go all the time, so that workers reach for the last place again and again.
        List<Thread> threads = [.. Enumerable.Range(0, Clients).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 400; i++)
            {
                try
                {
                    using var client = new TestClient(fixture.EndPoint);
                    client.Socket.Send([1]);
                    client.Socket.Receive(new byte[1]);
                    client.Reset();
                }
                catch (SocketException)
                {
                    // There was no place for this one; the reset may come before the connect has returned.
                }
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        threads.ForEach(static thread => thread.Join());
        Eventually.Equal(Clients * 400, () => fixture.Server.Rejected + fixture.Server.Accepted);
        Assert.Equal(Limit, fixture.Server.PeakConnectionCount);
        Eventually.Equal(fixture.Server.Accepted, () => fixture.Server.Closed);
        Assert.Equal(0, fixture.Server.ConnectionCount);
    }

    [Fact]
    public void Threads_that_take_and_give_back_places_never_hold_more_than_there_are()
    {
        const int Limit = 1;
        var admission = new Admission();
        SockAddr remote = default;
        int held = 0;
        int excesses = 0;

        // Two threads that begin together again and again, because more threads than processors mostly wait for one that holds the place.
        using var start = new Barrier(2);
        List<Thread> threads = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 20_000_000; i++)
            {
                if (i % 100_000 == 0)
                {
                    start.SignalAndWait();
                }

                if (admission.TryEnter(remote, Limit, perAddress: 0, out int _))
                {
                    if (Interlocked.Increment(ref held) > Limit)
                    {
                        Interlocked.Increment(ref excesses);
                    }

                    Interlocked.Decrement(ref held);
                    admission.Leave(remote, countedByAddress: false);
                }
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        threads.ForEach(static thread => thread.Join());
        Assert.Equal(0, excesses);
        Assert.Equal(Limit, admission.Peak);
        Assert.Equal(0, admission.Open);
    }

    [Fact]
    public void A_client_that_its_address_limit_turns_away_takes_no_place()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { MaxConnectionsPerAddress = 2, MaxConnections = 3 });
        using TestClient first = fixture.Connect();
        using TestClient second = fixture.Connect();
        first.Echo(1, 10);
        second.Echo(2, 10);
        for (int i = 0; i < 10; i++)
        {
            using TestClient turnedAway = fixture.Connect();
            turnedAway.AssertReset();
        }

        Eventually.Equal(10, () => fixture.Server.Rejected);
        Assert.Equal(2, fixture.Server.ConnectionCount);
        Assert.Equal(2, fixture.Server.PeakConnectionCount);
    }

    [Fact]
    public void A_client_that_finds_no_place_does_not_use_up_the_share_of_its_address()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { MaxConnectionsPerAddress = 2, MaxConnections = 1 });
        TestClient first = fixture.Connect();
        first.Echo(1, 10);
        for (int i = 0; i < 10; i++)
        {
            using TestClient turnedAway = fixture.Connect();
            turnedAway.AssertReset();
        }

        first.Dispose();
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        using TestClient next = fixture.Connect();
        next.Echo(2, 10);
    }

    [Fact]
    public void An_accept_goes_by_the_number_of_open_connections_and_adds_up_no_counters()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { MaxConnections = 2 });
        Worker other = fixture.Server.Workers.Current[1];

        // A sum over the workers would find the server full.
        other.Counters.Accepted += 1000;
        using TestClient client = fixture.Connect();
        Exception? refused = Record.Exception(() => client.Echo(1, 10));
        other.Counters.Accepted -= 1000;
        Assert.Null(refused);
        Assert.Equal(1, fixture.Server.ConnectionCount);
    }

    [Fact]
    public void What_workers_that_have_left_had_counted_stays_in_the_sums_and_nothing_else_of_them_stays()
    {
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 1 });
        List<WeakReference> left = [];
        for (int round = 1; round <= 5; round++)
        {
            Resize(fixture, 4);
            left.AddRange(CountersOfThoseToLeave(fixture));
            List<TestClient> clients = [.. Enumerable.Range(0, 8).Select(_ => fixture.Connect())];
            clients.ForEach(static client => client.Echo(1, 1000));
            Resize(fixture, 1);
            clients.ForEach(static client => client.Echo(2, 1000));
            Assert.Equal(8 * round, fixture.Server.Accepted);
            Assert.Equal(8 * round * 2000, fixture.Server.BytesReceived);

            // A client may have its answer before the worker has counted it.
            Eventually.Equal(8 * round * 2000, () => fixture.Server.BytesSent);
            clients.ForEach(static client => client.Dispose());
            Eventually.Equal(8 * round, () => fixture.Server.Closed);
            Assert.Equal(0, fixture.Server.ConnectionCount);
        }

        Assert.Equal(15, left.Count);
        Eventually.True(() =>
        {
            GC.Collect();
            return !left.Any(static counters => counters.IsAlive);
        });
    }

    [Fact]
    public void No_sum_goes_back_while_workers_come_and_go()
    {
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 4 });
        List<TestClient> clients = [.. Enumerable.Range(0, 20).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(1, 10_000));
        bool stop = false;
        string? wrong = null;
        var reader = new Thread(() =>
        {
            long before = 0;
            while (!Volatile.Read(ref stop) && wrong is null)
            {
                long now = fixture.Server.BytesReceived;
                wrong = now < before ? $"{now} came after {before}" : null;
                before = now;
            }
        });
        reader.Start();
        for (int i = 0; i < 100; i++)
        {
            Resize(fixture, i % 2 == 0 ? 1 : 4);
        }

        Volatile.Write(ref stop, true);
        reader.Join();
        Assert.Null(wrong);
        Assert.Equal(200_000, fixture.Server.BytesReceived);
        clients.ForEach(static client => client.Dispose());
    }

    private static void Resize(ServerFixture fixture, int workers) =>
        Assert.True(fixture.Server.Reconfigure(fixture.Server.Options with { WorkerCount = workers }));

    // A method of its own: a local variable of the test's would keep the counters alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference[] CountersOfThoseToLeave(ServerFixture fixture) =>
        [.. fixture.Server.Workers.Current.Skip(1).Select(static worker => new WeakReference(worker.Counters))];
}
