using C10kServer.Engine.Handlers;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class EchoTests
{
    [Fact]
    public void Every_client_gets_its_own_bytes_back()
    {
        using var fixture = new ServerFixture(new EchoHandler());
        List<TestClient> clients = [.. Enumerable.Range(0, 100).Select(_ => fixture.Connect())];
        for (int round = 1; round < 20; round++)
        {
            for (int i = 0; i < clients.Count; i++)
            {
                clients[i].Send(Keyed.Bytes(i * 1000 + round, round * 37));
            }

            for (int i = 0; i < clients.Count; i++)
            {
                Keyed.Verify(i * 1000 + round, clients[i].Receive(round * 37));
            }
        }

        clients.ForEach(static client => client.Dispose());
    }

    [Fact]
    public void Half_closing_client_gets_the_whole_answer()
    {
        const int Size = 4_000_000;
        using var fixture = new ServerFixture(new EchoHandler());
        for (int i = 0; i < 10; i++)
        {
            using TestClient client = fixture.Connect();
            int key = i;
            var sender = new Thread(() =>
            {
                client.Send(Keyed.Bytes(key, Size));
                client.EndSending();
            });
            sender.Start();
            byte[] answer = client.ReceiveToEnd();
            sender.Join();
            Assert.Equal(Size, answer.Length);
            Keyed.Verify(key, answer);
        }

        Eventually.Equal(10, () => fixture.Server.Closed);
    }

    [Fact]
    public void Data_and_end_in_one_burst_are_answered_before_the_end()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        for (int i = 1; i <= 200; i++)
        {
            using TestClient client = fixture.Connect();
            client.Send(Keyed.Bytes(i, i * 100));
            client.EndSending();
            byte[] answer = client.ReceiveToEnd();
            Assert.Equal(i * 100, answer.Length);
            Keyed.Verify(i, answer);
        }

        Eventually.Equal(200, () => handler.ClosedCount);
        Assert.Equal(CloseReason.PeerClosed, handler.LastReason);
    }

    [Fact]
    public void Resetting_clients_are_closed_as_reset_and_others_go_on()
    {
        var handler = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        using var fixture = new ServerFixture(handler);
        using TestClient bystander = fixture.Connect();
        for (int i = 0; i < 100; i++)
        {
            TestClient client = fixture.Connect();
            client.Echo(i, 10);
            client.Reset();
            bystander.Echo(i, 100);
        }

        Eventually.Equal(100, () => handler.ClosedCount);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
    }

    [Fact]
    public void A_client_that_resets_before_it_is_accepted_is_counted_and_closed()
    {
        using var blocked = new ManualResetEventSlim();
        var handler = new LambdaHandler();
        using var fixture = new ServerFixture(handler);
        for (int i = 0; i < 200; i++)
        {
            TestClient client = fixture.Connect();
            client.Send([1, 2, 3]);
            client.Reset();
        }

        Eventually.Equal(200, () => fixture.Server.Closed);
        Assert.Equal(handler.OpenedCount, handler.ClosedCount);
    }
}
