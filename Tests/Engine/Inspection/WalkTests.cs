using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class WalkTests
{
    [Fact]
    public void Rows_are_what_the_connections_are()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        List<TestClient> clients = [.. Enumerable.Range(0, 600).Select(_ => fixture.Connect())];
        for (int i = 0; i < clients.Count; i++)
        {
            clients[i].Echo(i, i + 1);
        }

        IReadOnlyList<ConnectionInfo> rows = fixture.Rows();
        Assert.Equal(600, rows.Count);
        Assert.Equal(600, rows.Select(static row => row.Id).Distinct().Count());
        foreach (TestClient client in clients)
        {
            ConnectionInfo row = Assert.Single(rows, row => row.RemoteEndPoint.Equals(client.Socket.LocalEndPoint));
            int n = clients.IndexOf(client) + 1;
            Assert.Equal((n, n), (row.BytesReceived, row.BytesSent));
            Assert.Equal((ConnectionState.Open, CloseReason.None, 0L, false), (row.State, row.CloseReason, row.SendQueue, row.ReadPaused));
            Assert.Equal(client.Socket.RemoteEndPoint, row.LocalEndPoint);
            Assert.InRange(row.Age, TimeSpan.Zero, TimeSpan.FromMinutes(1));
            Assert.InRange(row.IdleTime, TimeSpan.Zero, row.Age + TimeSpan.FromMilliseconds(20));
            Assert.InRange(DateTimeOffset.Now - row.StartTime - row.Age, TimeSpan.FromSeconds(-2), TimeSpan.FromSeconds(2));
        }

        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Filters_are_applied_by_the_workers()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 3 });
        List<TestClient> clients = [.. Enumerable.Range(0, 30).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(1, 1));
        Assert.Equal(10, fixture.Rows(new ConnectionQuery { Workers = [1] }).Count(static row => row.Worker == 1));
        Assert.Equal(10, fixture.Rows(new ConnectionQuery { Workers = [1] }).Count);
        Assert.Empty(fixture.Rows(new ConnectionQuery { Workers = [17] }));
        Assert.Empty(fixture.Rows(new ConnectionQuery { States = [ConnectionState.Closing] }));
        long id = fixture.Rows()[5].Id;
        Assert.Equal(id, Assert.Single(fixture.Rows(new ConnectionQuery { Ids = [id, -1] })).Id);
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_connection_is_closed_by_its_id_and_a_stale_id_hits_nobody()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        using TestClient client = fixture.Connect();
        client.Echo(1, 1);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        var target = new ConnectionRef(row.Id, row.Worker, row.Slot);
        Assert.True(fixture.Server.TryAct(target, ConnectionAction.Close, Eventually.Patience, TestContext.Current.CancellationToken, out ConnectionInfo? after));
        Assert.Equal((row.Id, ConnectionState.Closing, CloseReason.AdminClosed), (after.Id, after.State, after.CloseReason));
        Assert.Empty(client.ReceiveToEnd());
        client.Dispose();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.AdminClosed, handler.LastReason);

        // The slot has a new owner; the old reference must not reach it.
        List<TestClient> strangers = [.. Enumerable.Range(0, 4).Select(_ => fixture.Connect())];
        strangers.ForEach(static stranger => stranger.Echo(2, 1));
        Assert.Contains(fixture.Rows(), other => (other.Worker, other.Slot) == (row.Worker, row.Slot));
        Assert.False(fixture.Server.TryAct(target, ConnectionAction.Reset, Eventually.Patience, TestContext.Current.CancellationToken, out _));
        strangers.ForEach(static stranger => stranger.Echo(3, 1));
        strangers.ForEach(static stranger => stranger.Dispose());
    }

    [Fact]
    public void Without_hints_or_with_wrong_ones_a_connection_is_found_all_the_same()
    {
        using var fixture = new ServerFixture(new EchoHandler(), options => options with { WorkerCount = 4 });
        List<TestClient> clients = [.. Enumerable.Range(0, 8).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Echo(1, 1));
        IReadOnlyList<ConnectionInfo> rows = fixture.Rows();
        Assert.True(TryReset(new ConnectionRef(rows[0].Id)));
        Assert.True(TryReset(new ConnectionRef(rows[1].Id, (rows[1].Worker + 1) % 4, rows[1].Slot)));
        Assert.True(TryReset(new ConnectionRef(rows[2].Id, rows[2].Worker, rows[2].Slot + 1)));
        Assert.False(TryReset(new ConnectionRef(-5)));
        Eventually.Equal(5, () => fixture.Server.ConnectionCount);
        clients.ForEach(static client => client.Dispose());

        bool TryReset(ConnectionRef target) =>
            fixture.Server.TryAct(target, ConnectionAction.Reset, Eventually.Patience, TestContext.Current.CancellationToken, out _);
    }

    [Fact]
    public void A_walk_over_a_stopped_server_is_empty_and_over_at_once()
    {
        var fixture = new ServerFixture(new EchoHandler());
        fixture.Dispose();
        Assert.Empty(fixture.Rows());
        Assert.False(fixture.Server.TryAct(new ConnectionRef(1), ConnectionAction.Close, Eventually.Patience, TestContext.Current.CancellationToken, out _));
        Assert.All(fixture.Server.GetWorkers(), static worker => Assert.Equal(WorkerState.Stopped, worker.State));
    }

    [Fact]
    public void A_cancelled_walk_ends()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        using ConnectionWalk walk = fixture.Server.Walk(ConnectionQuery.All);
        Assert.Throws<OperationCanceledException>(() => walk.TryTake(Eventually.Patience, cancel.Token, out _));
    }

    [Fact]
    public void Rows_have_the_kernels_figures_where_they_are_asked_for()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect();
        for (int i = 0; i < 50; i++)
        {
            client.Echo(i, 1000);
        }

        Assert.Null(Assert.Single(fixture.Rows()).Tcp);
        TcpDetails tcp = Assert.Single(fixture.Rows(new ConnectionQuery { WithTcp = true })).Tcp!;
        Assert.Equal(TcpState.Established, tcp.State);
        Assert.InRange(tcp.RttMs, 0.001, 1000);
        Assert.InRange(tcp.MinRttMs, 0.001, tcp.RttMs * 10);
        Assert.InRange(tcp.RttVarMs, 0, 1000);
        Assert.InRange(tcp.Cwnd, 1, 100_000);
        Assert.InRange(tcp.Unacked, 0, 10);
        Assert.Equal(0, tcp.Retransmits);
        Assert.InRange(tcp.DeliveryRate, 1, long.MaxValue);
        client.EndSending();
        Assert.Empty(client.ReceiveToEnd());
    }

    [Fact]
    public void The_last_closed_connections_are_kept_with_reason_counters_and_duration()
    {
        int made = 0;
        var handler = new LambdaHandler
        {
            Received = (connection, data) =>
            {
                connection.Write(data);
                if (data.Length == 3)
                {
                    throw new InvalidOperationException("three");
                }
            },
        };
        using var fixture = new ServerFixture(handler) { ExpectedHandlerErrors = 1 };
        foreach (int size in new[] { 1, 2, 3 })
        {
            made++;
            using TestClient client = fixture.Connect();
            client.Echo(size, size);
            if (size == 1)
            {
                client.Reset();
            }
            else
            {
                client.EndSending();
                client.ReceiveToEnd();
            }

            client.Dispose();
            Eventually.Equal(made, () => fixture.Server.Closed);
        }

        IReadOnlyList<ConnectionInfo> closed = fixture.Server.GetClosed();
        Assert.Equal([CloseReason.HandlerError, CloseReason.PeerClosed, CloseReason.Reset], closed.Select(static row => row.CloseReason));
        Assert.Equal([3L, 2, 1], closed.Select(static row => row.BytesReceived));
        Assert.All(closed, static row => Assert.Equal((ConnectionState.Closed, row.BytesReceived), (row.State, row.BytesSent)));
        Assert.All(closed, static row => Assert.InRange(row.Age, TimeSpan.Zero, Eventually.Patience));
        TimeSpan age = closed[0].Age;
        Assert.Equal(age, fixture.Server.GetClosed()[0].Age);
    }

    [Fact]
    public void The_ring_of_closed_connections_is_bounded()
    {
        using var fixture = new ServerFixture(new HelloHandler());
        for (int i = 0; i < ClosedRing.Capacity + 100; i++)
        {
            using TestClient client = fixture.Connect();
            client.ReceiveToEnd();
        }

        Eventually.Equal(ClosedRing.Capacity + 100, () => fixture.Server.Closed);
        IReadOnlyList<ConnectionInfo> closed = fixture.Server.GetClosed();
        Assert.Equal(ClosedRing.Capacity, closed.Count);
        Assert.Equal(ClosedRing.Capacity, closed.Select(static row => row.Id).Distinct().Count());
        Assert.True(closed.Min(static row => row.Id) > closed.Max(static row => row.Id) - ClosedRing.Capacity - 50);
    }
}
