using System.Collections.Immutable;
using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class SendTests
{
    [Fact]
    public void Bytes_from_outside_arrive_whole_and_in_order_whatever_their_number()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        int offset = 0;
        foreach (int count in new[] { 1, 1000, 3_000_000, 7 })
        {
            Assert.Equal(SendOutcome.Taken, Send(fixture, row, Keyed.Bytes(5, count, offset), out ConnectionInfo? after));
            Assert.Equal(row.Id, after!.Id);
            offset += count;
        }

        Keyed.Verify(5, client.Receive(offset));
    }

    [Fact]
    public void A_connection_that_is_closing_takes_none_and_one_that_is_gone_is_not_found()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        TestClient client = fixture.Connect();
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        fixture.Server.TryAct(
            new ConnectionRef(row.Id), ConnectionAction.Close, Eventually.Patience, TestContext.Current.CancellationToken, out _);
        Assert.Equal(SendOutcome.Closing, Send(fixture, row, [1, 2, 3], out ConnectionInfo? after));
        Assert.Equal(ConnectionState.Closing, after!.State);
        Assert.Empty(client.ReceiveToEnd());
        client.Dispose();
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Assert.Equal(SendOutcome.NotFound, Send(fixture, row, [1], out after));
        Assert.Null(after);
    }

    [Fact]
    public void A_peer_that_does_not_read_is_sent_nothing_more_once_its_queue_is_full_and_keeps_all_it_was_sent()
    {
        const int Size = 15_000;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { HighWaterMark = 10_000, MaxSendQueue = 40_000 });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        int sent = 0;
        ConnectionInfo? after = null;

        // The kernel takes some, and takes more of it after a moment.
        Eventually.True(() =>
        {
            SendOutcome outcome;
            while ((outcome = Send(fixture, row, Keyed.Bytes(2, Size, sent * Size), out after)) == SendOutcome.Taken)
            {
                sent++;
            }

            Assert.Equal(SendOutcome.QueueFull, outcome);
            return after!.SendQueue > 40_000 - Size;
        });
        Assert.Equal(ConnectionState.Open, after!.State);
        Assert.InRange(after.SendQueue, 1, 40_000);
        List<ConnectionInfo> met = Broadcast(fixture, ConnectionQuery.All, new byte[40_000], out ConnectionWalk walk);
        Assert.True(walk.WasFull(Assert.Single(met).Id));
        Keyed.Verify(2, client.Receive(sent * Size));
        Broadcast(fixture, ConnectionQuery.All, Keyed.Bytes(3, 1000), out walk);
        Assert.False(walk.WasFull(row.Id));
        Keyed.Verify(3, client.Receive(1000));
    }

    [Fact]
    public void Data_that_is_larger_than_the_whole_queue_is_sent_when_nothing_else_waits()
    {
        const int Size = 10_000_000;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { MaxSendQueue = 100_000 });
        using TestClient client = fixture.Connect(receiveBuffer: 4096);
        client.Echo(1, 10);
        Assert.Equal(SendOutcome.Taken, Send(fixture, Assert.Single(fixture.Rows()), Keyed.Bytes(2, Size), out _));
        Keyed.Verify(2, client.Receive(Size));
    }

    [Fact]
    public void A_connection_that_is_always_on_the_move_gets_each_byte_once()
    {
        const int Sends = 1000;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 4 });
        using TestClient client = fixture.Connect();
        client.Echo(1, 10);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        using var stop = new CancellationTokenSource();
        Thread mover = Mover(fixture, [row], stop.Token);
        for (int i = 0; i < Sends; i++)
        {
            Assert.Equal(SendOutcome.Taken, Send(fixture, row, Keyed.Bytes(7, 20, i * 20), out _));
        }

        stop.Cancel();
        mover.Join();
        client.EndSending();
        byte[] all = client.ReceiveToEnd();
        Assert.Equal(Sends * 20, all.Length);
        Keyed.Verify(7, all);
    }

    [Fact]
    public void What_two_workers_are_asked_to_send_one_after_the_other_is_sent_once()
    {
        // Both may own the connection when their turn comes: the one before the move, the other after it.
        var parcel = new SendCommand([1, 2, 3]);
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Received = (connection, _) =>
            {
                parcel.Deliver(connection);
                parcel.Deliver(connection);
                connection.Close();
            },
        });
        using TestClient client = fixture.Connect();
        client.Send([0]);
        Assert.Equal([1, 2, 3], client.ReceiveToEnd());
        Assert.Equal(SendOutcome.Taken, parcel.Outcome);
    }

    [Fact]
    public void A_broadcast_reaches_each_open_connection_once_while_they_move_from_worker_to_worker()
    {
        const int Clients = 300;
        const int Broadcasts = 40;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 4 });
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        Eventually.Equal(Clients, () => fixture.Rows().Count);
        IReadOnlyList<ConnectionInfo> rows = fixture.Rows();
        using var stop = new CancellationTokenSource();
        Thread mover = Mover(fixture, rows, stop.Token);
        for (int i = 0; i < Broadcasts; i++)
        {
            List<ConnectionInfo> reached = Broadcast(fixture, ConnectionQuery.All, Keyed.Bytes(3, 100, i * 100));
            Assert.Equal(rows.Select(static row => row.Id).Order(), reached.Select(static row => row.Id).Order());
        }

        stop.Cancel();
        mover.Join();
        foreach (TestClient client in clients)
        {
            client.EndSending();
            byte[] all = client.ReceiveToEnd();
            Assert.Equal(Broadcasts * 100, all.Length);
            Keyed.Verify(3, all);
            client.Dispose();
        }
    }

    [Fact]
    public void A_broadcast_goes_to_those_that_are_meant_and_passes_over_those_that_are_closing()
    {
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 2 });
        List<TestClient> clients = [.. Enumerable.Range(0, 10).Select(_ => fixture.Connect())];
        Eventually.Equal(10, () => fixture.Rows().Count);
        ConnectionInfo closing = fixture.Rows(new ConnectionQuery { Workers = [1] })[0];
        fixture.Server.TryAct(
            new ConnectionRef(closing.Id), ConnectionAction.Close, Eventually.Patience, TestContext.Current.CancellationToken, out _);
        List<ConnectionInfo> reached = Broadcast(fixture, new ConnectionQuery { Workers = [1] }, [42]);
        Assert.Equal(4, reached.Count);
        Assert.All(reached, static row => Assert.Equal((1, 1L), (row.Worker, row.BytesSent)));
        clients.ForEach(static client => client.EndSending());
        Assert.Equal(4, clients.Count(static client => client.ReceiveToEnd() is [42]));
        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void A_broadcast_of_much_leaves_others_their_turns()
    {
        // 64 connections take 4 MB each, and read nothing; one that echoes meanwhile waits for a portion and not for all of it.
        const int Size = 4_000_000;
        using var fixture = new ServerFixture(new EchoHandler(), static options => options with { WorkerCount = 1 });
        List<TestClient> silent = [.. Enumerable.Range(0, 64).Select(_ => fixture.Connect())];
        using TestClient bystander = fixture.Connect();
        bystander.Echo(1, 10);
        List<long> silentIds = [.. fixture.Rows().Select(static row => row.Id).Order().Take(64)];
        var filter = new ConnectionQuery { Ids = silentIds };
        var sender = new Thread(() => Assert.Equal(64, Broadcast(fixture, filter, Keyed.Bytes(9, Size)).Count));
        sender.Start();
        Eventually.True(() => fixture.Server.BytesSent > 1000);
        int echoes = 0;
        while (sender.IsAlive)
        {
            bystander.Echo(echoes++, 100);
        }

        sender.Join();
        Assert.InRange(echoes, 10, int.MaxValue);
        foreach (TestClient client in silent)
        {
            Keyed.Verify(9, client.Receive(Size));
            client.Dispose();
        }
    }

    private static SendOutcome Send(ServerFixture fixture, ConnectionInfo row, byte[] data, out ConnectionInfo? after) => fixture.Server.TrySend(
        new ConnectionRef(row.Id, row.Worker, row.Slot), [.. data], Eventually.Patience, TestContext.Current.CancellationToken, out after);

    private static List<ConnectionInfo> Broadcast(ServerFixture fixture, ConnectionQuery filter, byte[] data) => Broadcast(fixture, filter, data, out _);

    private static List<ConnectionInfo> Broadcast(ServerFixture fixture, ConnectionQuery filter, byte[] data, out ConnectionWalk walk)
    {
        var rows = new List<ConnectionInfo>();
        walk = fixture.Server.Broadcast(filter, ImmutableArray.Create(data));
        while (walk.TryTake(Eventually.Patience, CancellationToken.None, out IReadOnlyList<ConnectionInfo>? portion))
        {
            rows.AddRange(portion);
        }

        Assert.Empty(walk.SilentWorkers);
        return rows;
    }

    /// <summary>Moves connections to and fro until it is told to end.</summary>
    private static Thread Mover(ServerFixture fixture, IReadOnlyList<ConnectionInfo> rows, CancellationToken stop)
    {
        var thread = new Thread(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                ConnectionInfo row = rows[i % rows.Count];
                fixture.Server.TryAct(
                    new ConnectionRef(row.Id, row.Worker, row.Slot), ConnectionAction.Move, Eventually.Patience, CancellationToken.None, out _, (row.Worker + (i / rows.Count) + 1) % 4);
            }
        });
        thread.Start();
        return thread;
    }
}
