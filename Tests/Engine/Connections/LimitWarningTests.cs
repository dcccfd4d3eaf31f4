using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

/// <summary>A connection that meets a limit leaves a warning that names the limit, and its client may not fill the log with them.</summary>
public class LimitWarningTests
{
    [Theory]
    [InlineData("at once")]
    [InlineData("in pieces")]
    [InlineData("without its end")]
    public void A_message_over_the_maximum_is_a_warning_that_names_the_limit_and_no_error_of_the_handler(string how)
    {
        using var fixture = new ServerFixture(
            new LambdaHandler(), static options => options with { Framing = Framing.At("--"u8), MaxMessage = 10 });
        using TestClient client = fixture.Connect();
        switch (how)
        {
            case "at once":
                client.Send("12345678901--"u8);
                break;
            case "in pieces":
                client.Send("123456"u8);
                Eventually.True(() => fixture.Rows() is [{ BytesReceived: 6 }]);
                client.Send("789012"u8);
                break;
            default:
                client.Send("12345678901-"u8);
                client.EndSending();
                break;
        }

        Assert.Empty(client.ReceiveToEnd());
        AssertWarned(fixture, "MessageTooLong", "more than 10 bytes", "-MaxMessage");
    }

    [Fact]
    public void A_read_until_over_the_handlers_own_maximum_is_a_warning_that_names_that()
    {
        using var fixture = new ServerFixture(new LambdaHandler
        {
            Opened = static connection => connection.ReadUntil("\n"u8, 5, static (_, _, _) => { }),
        });
        using TestClient client = fixture.Connect();
        client.Send("1234567"u8);
        Assert.Empty(client.ReceiveToEnd());
        AssertWarned(fixture, "MessageTooLong", "more than 5 bytes", "ReadUntil");
    }

    [Fact]
    public void A_queue_over_the_maximum_is_a_warning_that_names_the_limit()
    {
        using var fixture = new ServerFixture(
            new LambdaHandler { Opened = static connection => connection.Write(new byte[20_000_000]) }, static options => options with { MaxSendQueue = 100_000 });

        // The client reads nothing before the warning is there. The socket would else take all 20 MB in the one send that Write makes, because
        // the kernel goes on with a send for as long as the reader makes room: nothing would be queued, and the connection would rightly stay open.
        using TestClient client = fixture.Connect();
        AssertWarned(fixture, "SendQueueFull", "more than 100000 bytes", "-MaxSendQueue");
        client.AssertReset();
    }

    [Fact]
    public void A_flood_of_them_is_told_in_sum()
    {
        const int Count = 300;
        using var fixture = new ServerFixture(new LambdaHandler(), static options => options with { Framing = Framing.Line, MaxMessage = 10 });
        for (int i = 0; i < Count; i++)
        {
            using TestClient client = fixture.Connect();
            client.Send("123456789012"u8);
            Assert.Empty(client.ReceiveToEnd());
        }

        // One by one, or in sum: the second's end tells.
        EventLog log = fixture.Server.Options.Log;
        Eventually.Equal(Count, () => log.GetRecords().Sum(static record => record.Name switch
        {
            "MessageTooLong" => 1,
            "LimitsLeftOut" => int.Parse(record.Message.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture),
            _ => 0,
        }));
        Assert.Contains(log.GetRecords(), static record => record.Name == "LimitsLeftOut");
    }

    private static void AssertWarned(ServerFixture fixture, string name, params string[] words)
    {
        EventRecord record = null!;
        Eventually.True(() => (record = fixture.Server.Options.Log.GetRecords().SingleOrDefault(record => record.Name == name)!) is not null);
        Assert.Equal(EventLevel.Warning, record.Level);
        foreach (string word in words)
        {
            Assert.Contains(word, record.Message, StringComparison.Ordinal);
            Assert.Contains(word, fixture.Server.LastError, StringComparison.Ordinal);
        }

        // Whoever caused it, it was no handler that failed: ServerFixture expects none.
        Assert.Equal(0, fixture.Server.HandlerErrors);
    }
}
