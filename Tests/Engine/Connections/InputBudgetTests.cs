using System.Net.Sockets;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>What all connections of a worker together may hold of messages without an end (pitfall 54).</summary>
public sealed class InputBudgetTests
{
    private const int Budget = 8 * 1024 * 1024;

    // Takes an array of 1 MiB.
    private const int Unfinished = 700_000;

    [Fact]
    public void Messages_without_an_end_stay_within_the_budget_and_others_are_answered_throughout()
    {
        using ServerFixture fixture = Start(new LambdaHandler { Received = static (connection, line) => connection.Write([.. line, (byte)'\n']) });
        Worker worker = fixture.Server.Workers.Current[0];
        using TestClient bystander = fixture.Connect();
        using var clients = new Crowd(fixture, 40);
        clients.Send(new byte[Unfinished]);
        long most = 0;
        Eventually.True(() =>
        {
            most = Math.Max(most, worker.Inputs.Held);
            bystander.Send("hello\n"u8);
            Assert.Equal("hello\n"u8.ToArray(), bystander.Receive(6));
            return fixture.Server.GetClosed().Any(static row => row.CloseReason == CloseReason.MessageTooLong);
        });
        clients.Wait();

        // A part of the budget beyond it, and the array that was one too many.
        Assert.InRange(most, Budget / 2, Budget + Budget / 8 + 2 * 1024 * 1024);
        Assert.All(fixture.Server.GetClosed(), static row => Assert.Equal(CloseReason.MessageTooLong, row.CloseReason));
        Assert.Contains(fixture.Server.Options.Log.GetRecords(), static record => record.Message.Contains("unfinished messages", StringComparison.Ordinal));
        clients.Dispose();
        bystander.Dispose();
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Eventually.Equal(0, () => worker.Inputs.Held);
    }

    [Fact]
    public void The_longest_are_not_read_until_others_have_finished_and_then_finish_too()
    {
        int lines = 0;
        var handler = new LambdaHandler { Received = (_, line) => lines += line.Length == Unfinished ? 1 : 0 };
        using ServerFixture fixture = Start(handler);
        using var clients = new Crowd(fixture, 9);
        clients.Send(new byte[Unfinished]);
        Eventually.True(() => fixture.Rows().Any(static row => row.ReadPaused));
        clients.Wait();
        clients.Send("\n"u8.ToArray());
        Eventually.Equal(9, () => Volatile.Read(ref lines));
        Eventually.True(() => fixture.Rows() is { Count: 9 } rows && rows.All(static row => !row.ReadPaused));
        Eventually.Equal(0, () => fixture.Server.Workers.Current[0].Inputs.Held);
        clients.Wait();
    }

    [Fact]
    public void Where_nobody_finishes_the_longest_are_closed_and_the_others_are_read_again()
    {
        using ServerFixture fixture = Start(new LambdaHandler());
        using var clients = new Crowd(fixture, 9);
        clients.Send(new byte[Unfinished]);
        Eventually.True(() => fixture.Server.GetClosed().Count > 0 || fixture.Rows().Any(static row => row.State == ConnectionState.Closing));
        clients.Wait();
        Eventually.True(() => fixture.Rows().Where(static row => row.State == ConnectionState.Open).ToList() is { Count: > 0 and < 9 } rows
            && rows.All(static row => row is { ReadPaused: false, BytesReceived: Unfinished }));
        Assert.InRange(fixture.Server.Workers.Current[0].Inputs.Held, 1, Budget);
        Eventually.True(() => fixture.Server.GetClosed().All(static row => row.CloseReason == CloseReason.MessageTooLong));
    }

    [Fact]
    public void Reads_that_a_handler_has_asked_for_count_too()
    {
        var handler = new LambdaHandler { Opened = static connection => connection.ReadUntil("\n"u8, 1_000_000, static (_, _, _) => { }) };
        using ServerFixture fixture = Start(handler, static options => options with { Framing = Framing.Raw });
        using var clients = new Crowd(fixture, 20);
        clients.Send(new byte[Unfinished]);
        Eventually.True(() => fixture.Server.GetClosed().Any(static row => row.CloseReason == CloseReason.MessageTooLong));
        clients.Wait();
    }

    [Fact]
    public void A_connection_that_moves_takes_what_it_holds_along()
    {
        using ServerFixture fixture = Start(new LambdaHandler(), static options => options with { WorkerCount = 2 });
        using TestClient client = fixture.Connect();
        client.Send(new byte[1000]);
        Eventually.Equal(1000, () => fixture.Server.BytesReceived);
        ConnectionInfo row = Assert.Single(fixture.Rows());
        Assert.True(fixture.Server.TryAct(
            new ConnectionRef(row.Id, row.Worker, row.Slot), ConnectionAction.Move, Eventually.Patience, TestContext.Current.CancellationToken,
            out _, 1 - row.Worker));
        Assert.Equal(1 - row.Worker, Assert.Single(fixture.Rows()).Worker);
        Assert.Equal(0, fixture.Server.Workers.Current[row.Worker].Inputs.Held);
        Assert.Equal(1024, fixture.Server.Workers.Current[1 - row.Worker].Inputs.Held);
        client.Dispose();
        Eventually.Equal(0, () => fixture.Server.ConnectionCount);
        Eventually.Equal(0, () => fixture.Server.Workers.Current[1 - row.Worker].Inputs.Held);
    }

    [Fact]
    public void A_closing_connection_holds_no_message_that_will_not_be_handled()
    {
        // Closed for its length, it waits for the peer's end.
        using ServerFixture fixture = Start(new LambdaHandler(), static options => options with { MaxMessage = 100_000 });
        using TestClient client = fixture.Connect();
        client.Send(new byte[100_002]);
        Eventually.True(() => fixture.Rows() is [{ State: ConnectionState.Closing }]);
        Eventually.Equal(0, () => fixture.Server.Workers.Current[0].Inputs.Held);
    }

    [Fact]
    public void What_comes_back_is_kept_for_the_next_message_up_to_a_bound()
    {
        var pool = new InputPool();
        byte[] first = pool.Rent(1000);
        Assert.Equal((1024, 1024L), (first.Length, pool.Held));
        pool.Return(first);
        Assert.Same(first, pool.Rent(600));
        pool.Return(first);
        List<byte[]> large = [.. Enumerable.Range(0, 10).Select(_ => pool.Rent(1_000_000))];
        large.ForEach(pool.Return);
        Assert.Equal(0, pool.Held);
        Assert.Equal(3, Enumerable.Range(0, 10).Select(_ => pool.Rent(1_000_000)).Count(large.Contains));
    }

    private static ServerFixture Start(LambdaHandler handler, Func<ServerOptions, ServerOptions>? with = null) => new(handler, options =>
    {
        options = options with
        {
            WorkerCount = 1, Framing = Framing.Line, MaxUnfinishedInput = Budget, LingerTimeout = TimeSpan.FromMilliseconds(500),
        };
        return with is null ? options : with(options);
    });

    /// <summary>Clients that send side by side, each on a thread of its own, as what is not read holds them up. A reset is an end.</summary>
    private sealed class Crowd : IDisposable
    {
        private readonly List<TestClient> _clients;
        private readonly List<Thread> _threads = [];

        internal Crowd(ServerFixture fixture, int count) => _clients = [.. Enumerable.Range(0, count).Select(_ => fixture.Connect())];

        internal void Send(byte[] data)
        {
            foreach (TestClient client in _clients)
            {
                var thread = new Thread(() =>
                {
                    try
                    {
                        client.Send(data);
                    }
                    catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
                    {
                        // Closed for what it holds.
                    }
                });
                _threads.Add(thread);
                thread.Start();
            }
        }

        internal void Wait()
        {
            _threads.ForEach(static thread => Assert.True(thread.Join(Eventually.Patience), "a client cannot send"));
            _threads.Clear();
        }

        public void Dispose()
        {
            _clients.ForEach(static client => client.Dispose());
            _threads.ForEach(static thread => thread.Join());
        }
    }
}
