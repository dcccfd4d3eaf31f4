using System.Collections.Concurrent;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>Whichever way a connection ends: every request once, with the reason; OnClosed last, and once.</summary>
public class EndTests
{
    public static TheoryData<string, CloseReason> Ends => new()
    {
        { "Close", CloseReason.HandlerClosed },
        { "Abort", CloseReason.Aborted },
        { "the peer's reset", CloseReason.Reset },
        { "an exception", CloseReason.HandlerError },
        { "an administrator's close", CloseReason.AdminClosed },
        { "an administrator's reset", CloseReason.AdminClosed },
        { "the idle timeout", CloseReason.IdleTimeout },
        { "the server's stop", CloseReason.ServerStopped },
        { "the server's stop with resets", CloseReason.ServerStopped },
    };

    [Theory]
    [MemberData(nameof(Ends))]
    public void Each_request_ends_once_with_the_reason_and_OnClosed_comes_last(string end, CloseReason reason)
    {
        const int Clients = 10;
        const int Reads = 3;
        var ledgers = new ConcurrentDictionary<long, List<string>>();
        var handler = new LambdaHandler
        {
            Opened = connection =>
            {
                List<string> ledger = ledgers[connection.Id] = [];
                connection.Read(1, (c, _, _) =>
                {
                    // Where no peer and no other thread ends it, the first byte does.
                    ledger.Add("first");
                    for (int i = 0; i < Reads; i++)
                    {
                        c.Read(1000, (_, data, why) => ledger.Add($"read {data.Length} {why}"));
                    }

                    c.Write([1], (_, why) => ledger.Add($"write {why}"));
                    switch (end)
                    {
                        case "Close":
                            c.Close();
                            break;
                        case "Abort":
                            c.Abort();
                            break;
                        case "an exception":
                            throw new InvalidOperationException("for the test");
                    }
                });
            },
            Closed = connection => ledgers[connection.Id].Add($"closed {connection.State} {connection.CloseReason}"),
        };
        using var fixture = new ServerFixture(
            handler,
            options => end == "the idle timeout" ? options with { IdleTimeout = TimeSpan.FromMilliseconds(200) } : options)
        { ExpectedHandlerErrors = end == "an exception" ? Clients : 0 };
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => fixture.Connect())];
        clients.ForEach(static client => client.Send([1]));
        if (end != "Abort")
        {
            clients.ForEach(static client => client.Receive(1));
        }

        switch (end)
        {
            case "the peer's reset":
                clients.ForEach(static client => client.Reset());
                break;
            case "an administrator's close" or "an administrator's reset":
                ConnectionAction action = end == "an administrator's close" ? ConnectionAction.Close : ConnectionAction.Reset;
                Assert.All(fixture.Rows(), row => Assert.True(fixture.Server.TryAct(
                    new ConnectionRef(row.Id), action, Eventually.Patience, TestContext.Current.CancellationToken, out _)));
                break;
            case "the idle timeout":
                clients.ForEach(static client => Assert.Empty(client.ReceiveToEnd()));
                break;
            case "the server's stop" or "the server's stop with resets":
                fixture.Server.Stop(reset: end != "the server's stop");
                break;
        }

        clients.ForEach(static client => client.Dispose());
        Eventually.Equal(Clients, () => fixture.Server.Closed);
        Assert.Equal(Clients, ledgers.Count);

        Assert.All(ledgers.Values, ledger => Assert.Equal(
            ["first", "write None", .. Enumerable.Repeat($"read 0 {reason}", Reads), $"closed Closed {reason}"], ledger));
    }
}
