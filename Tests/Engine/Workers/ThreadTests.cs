using System.Runtime.CompilerServices;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>The engine's threads, and those of the process around it.</summary>
public class ThreadTests
{
    [Fact]
    public void A_starved_thread_pool_holds_nothing_up()
    {
        // More than the pool has, and as it makes one or two a second, more than it will have.
        const int Blocked = 500;

        // The ledger's own beginning wants a thread of the pool, and would wait for one.
        _ = ProcessLedger.Descriptors();
        using var release = new ManualResetEventSlim();
        using var done = new CountdownEvent(Blocked);
        int begun = 0;
        for (int i = 0; i < Blocked; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                _ =>
                {
                    Interlocked.Increment(ref begun);
                    release.Wait();
                    done.Signal();
                },
                null);
        }

        try
        {
            Eventually.True(() => Volatile.Read(ref begun) >= Environment.ProcessorCount);
            var watch = Stopwatch.StartNew();
            using (var fixture = new ServerFixture(new EchoHandler(), static options => options with { IdleTimeout = TimeSpan.FromMilliseconds(300) }))
            {
                using TestClient idle = fixture.Connect();
                using TestClient client = fixture.Connect();
                for (int i = 0; i < 100; i++)
                {
                    client.Echo(i, 1000);
                }

                ConnectionInfo row = fixture.Rows().First(row => row.RemoteEndPoint.Equals(client.Socket.LocalEndPoint));
                Assert.True(fixture.Server.TryAct(
                    new ConnectionRef(row.Id), ConnectionAction.Reset, Eventually.Patience, TestContext.Current.CancellationToken, out _));
                client.AssertReset();
                Assert.Empty(idle.ReceiveToEnd());
            }

            Assert.InRange(watch.ElapsedMilliseconds, 300, 5000);
            Assert.InRange(Volatile.Read(ref begun), 1, Blocked - 1);
        }
        finally
        {
            release.Set();
            done.Wait(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public void All_its_threads_are_background_threads()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        Assert.True(ThreadOf(AcceptorThread(AcceptLoopOf(fixture.Server)))!.IsBackground);
        Assert.All(fixture.Server.Workers.Current, static worker => Assert.True(ThreadOf(WorkerThread(worker))!.IsBackground));
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(uint.MaxValue)]
    public void Dealing_goes_on_past_the_overflow_of_its_counter(uint last)
    {
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 3 });
        NextWorker(fixture.Server.Workers) = last - 20;
        List<TestClient> clients = [.. Enumerable.Range(0, 60).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, 100);
        }

        // At the overflow itself the turn may jump once.
        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.InRange(worker.ConnectionCount, 19, 21));
        Assert.InRange(NextWorker(fixture.Server.Workers), 0U, unchecked(last + 60));
        clients.ForEach(static client => client.Dispose());
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_next")]
    private static extern ref uint NextWorker(WorkerPool workers);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_acceptLoop")]
    private static extern ref AcceptLoop? AcceptLoopField(Server server);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_thread")]
    private static extern ref EngineThread AcceptorThread(AcceptLoop listener);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_thread")]
    private static extern ref EngineThread WorkerThread(Worker worker);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_thread")]
    private static extern ref Thread? ThreadOf(EngineThread thread);

    private static AcceptLoop AcceptLoopOf(Server server) => AcceptLoopField(server)!;
}
