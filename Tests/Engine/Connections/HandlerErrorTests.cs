using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class HandlerErrorTests
{
    [Theory]
    [InlineData("open")]
    [InlineData("received")]
    [InlineData("peer closed")]
    [InlineData("drained")]
    [InlineData("closed")]
    [InlineData("read")]
    [InlineData("write")]
    public void A_handler_that_throws_closes_its_own_connection_and_no_other(string where)
    {
        // The one that needs a full send queue moves 8 MB each time.
        int count = where == "drained" ? 30 : 300;
        var bystanders = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        int made = 0;
        var throwing = new LambdaHandler
        {
            Opened = connection =>
            {
                Throw("open");
                if (where == "read")
                {
                    connection.Read(1, (_, _, _) => Throw("read"));
                }
                else if (where == "write")
                {
                    connection.Write([1], (_, _) => Throw("write"));
                }
                else if (where == "drained")
                {
                    connection.Write(new byte[8_000_000]);
                }
            },
            Received = (connection, _) =>
            {
                Throw("received");
                if (where == "closed")
                {
                    connection.Close();
                }
            },
            PeerClosed = connection =>
            {
                Throw("peer closed");
                connection.Close();
            },
            Drained = _ => Throw("drained"),
            Closed = _ => Throw("closed"),
        };
        using var fixture = new ServerFixture(() => made++ == 0 ? bystanders : throwing, options => options with { WorkerCount = 1 });
        fixture.ExpectedHandlerErrors = count;
        using TestClient bystander = fixture.Connect();
        bystander.Echo(1, 10);
        for (int i = 0; i < count; i++)
        {
            using TestClient client = fixture.Connect(where == "drained" ? 65536 : 0);
            if (where is "received" or "closed" or "read")
            {
                client.Send([1]);
            }
            else if (where == "peer closed")
            {
                client.EndSending();
            }
            else if (where == "drained")
            {
                // Not read before: a reader that is fast enough takes all of it while it is being sent.
                Eventually.True(() => fixture.Rows().Any(static row => row.SendQueue > 0));
            }

            client.ReceiveToEnd();
            bystander.Echo(i, 100);
        }

        Eventually.Equal(count, () => throwing.ClosedCount);
        Eventually.Equal(count, () => fixture.Server.HandlerErrors);
        Assert.Equal(where == "closed" ? CloseReason.HandlerClosed : CloseReason.HandlerError, throwing.LastReason);
        Assert.Contains(where, fixture.Server.LastError, StringComparison.Ordinal);
        Assert.InRange(fixture.Server.Options.Log.GetRecords().Count, 1, EventLog.Capacity);
        bystander.Echo(2, 10);

        void Throw(string here)
        {
            if (here == where)
            {
                throw new InvalidOperationException($"thrown in {here}");
            }
        }
    }

    [Fact]
    public void What_a_handler_wrote_before_it_threw_arrives()
    {
        var handler = new LambdaHandler
        {
            Received = static (connection, data) =>
            {
                connection.Write(data);
                throw new InvalidOperationException("after the write");
            },
        };
        using var fixture = new ServerFixture(handler) { ExpectedHandlerErrors = 1 };
        using TestClient client = fixture.Connect();
        client.Send(Keyed.Bytes(1, 100));
        byte[] answer = client.ReceiveToEnd();
        Keyed.Verify(1, answer);
        Assert.Equal(100, answer.Length);
    }

    [Fact]
    public void A_factory_that_throws_costs_that_connection_alone()
    {
        int calls = 0;
        var echo = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(
            () => ++calls % 2 == 1 ? throw new InvalidOperationException("no handler") : echo,
            options => options with { WorkerCount = 1 })
        { ExpectedHandlerErrors = 10 };
        for (int i = 0; i < 10; i++)
        {
            using (TestClient refused = fixture.Connect())
            {
                refused.AssertReset();
            }

            using TestClient served = fixture.Connect();
            served.Echo(i, 10);
        }
    }

    [Fact]
    public void A_handler_that_blocks_stalls_its_worker_alone_and_is_seen()
    {
        using var blocked = new ManualResetEventSlim();
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                if (data[0] == 0)
                {
                    blocked.Wait();
                }

                connection.Write(data);
            },
        };
        using var fixture = new ServerFixture(handler);
        using TestClient first = fixture.Connect();
        using TestClient second = fixture.Connect();
        second.Send([1]);
        second.Receive(1);
        first.Send([0]);
        Eventually.True(() => fixture.Server.GetWorkers().Any(static worker => worker.State == WorkerState.Stalled));
        second.Send([1]);
        second.Receive(1);

        using (ConnectionWalk walk = fixture.Server.Walk(ConnectionQuery.All))
        {
            int rows = 0;
            while (walk.TryTake(TimeSpan.FromMilliseconds(200), TestContext.Current.CancellationToken, out IReadOnlyList<ConnectionInfo>? portion))
            {
                rows += portion.Count;
            }

            Assert.Equal(1, rows);
            Assert.Single(walk.SilentWorkers);
        }

        blocked.Set();
        first.Receive(1);
        Eventually.Equal(1, () => fixture.Server.GetWorkers().Sum(static worker => worker.Stalls));
    }

    [Fact]
    public void A_server_whose_handler_blocks_stops_all_the_same()
    {
        int threads = ProcessLedger.EngineThreads();
        using var blocked = new ManualResetEventSlim();
        var server = new Server(new ServerOptions { WorkerCount = 2, HandlerFactory = () => new LambdaHandler { Received = (_, _) => blocked.Wait() } });
        server.Start();
        using var client = new TestClient((System.Net.IPEndPoint)server.EndPoints[0]);
        client.Send([0]);
        Eventually.True(() => server.GetWorkers().Any(static worker => worker.State == WorkerState.Stalled));
        var watch = Stopwatch.StartNew();
        server.Stop();
        Assert.InRange(watch.Ran.TotalMilliseconds, 0, 2000);
        Assert.Contains("blocks", server.LastError, StringComparison.Ordinal);
        blocked.Set();
        client.ReceiveToEnd();
        Eventually.Equal(threads, ProcessLedger.EngineThreads);
    }

    [Theory]
    [InlineData(DispatchMode.RoundRobin)]
    [InlineData(DispatchMode.ReusePort)]
    public void A_server_whose_handler_blocks_the_loop_that_accepts_gives_its_port_back(DispatchMode dispatch)
    {
        int descriptors = ProcessLedger.Descriptors();
        using var blocked = new ManualResetEventSlim();
        var options = new ServerOptions
        {
            WorkerCount = 1,
            Dispatch = dispatch,
            HandlerFactory = () => new LambdaHandler { Received = (_, _) => blocked.Wait() },
        };
        var server = new Server(options);
        server.Start();
        using var client = new TestClient((System.Net.IPEndPoint)server.EndPoints[0]);
        client.Send([0]);
        Eventually.True(() => server.GetWorkers()[0].State == WorkerState.Stalled);
        using var waiting = new TestClient((System.Net.IPEndPoint)server.EndPoints[0]);
        try
        {
            server.Stop();
            waiting.AssertReset();
            using var successor = new Server(options with { Port = server.Port, HandlerFactory = Handlers.BuiltInHandlers.Echo });
            successor.Start();
            using var another = new TestClient((System.Net.IPEndPoint)successor.EndPoints[0]);
            another.Echo(1, 1000);
        }
        finally
        {
            blocked.Set();
        }

        client.ReceiveToEnd();
        client.Dispose();
        waiting.Dispose();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(descriptors);
    }

    [Fact]
    public void Members_called_from_another_thread_throw_and_harm_nothing()
    {
        Connection? leaked = null;
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Opened = connection => leaked = connection,
            Received = static (connection, data) => connection.Write(data),
        });
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        Assert.Throws<InvalidOperationException>(() => leaked!.Write([1]));
        Assert.Throws<InvalidOperationException>(() => leaked!.Close());
        Assert.Throws<InvalidOperationException>(() => leaked!.Abort());
        Assert.Throws<InvalidOperationException>(() => leaked!.Read(1, static (_, _, _) => { }));
        Assert.Throws<InvalidOperationException>(() => leaked!.ReadUntil("\n"u8, 1, static (_, _, _) => { }));
        Assert.Throws<InvalidOperationException>(() => leaked!.PauseReading());
        Assert.Throws<InvalidOperationException>(() => leaked!.ResumeReading());
        client.Echo(2, 10);
    }
}
