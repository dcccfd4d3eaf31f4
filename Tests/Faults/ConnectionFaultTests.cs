namespace C10kServer.Faults.Tests;

/// <summary>Faults of the calls that serve connections: which of them a connection survives, and what it says where it does not.</summary>
public class ConnectionFaultTests
{
    [Theory]
    [Rows("recv", Error.EINTR, Error.EAGAIN, Error.OneByte)]
    [Rows("send", Error.EINTR, Error.EAGAIN, Error.ENOBUFS, Error.OneByte)]
    [Rows("epoll_wait", Error.EINTR)]
    public void A_passing_fault_costs_no_connection_and_no_byte(string call, Error error, When when)
    {
        using var faulty = new FaultyServer();
        faulty.Shake(call, error, when);
        Eventually.Equal(0, () => faulty.Server.ConnectionCount);
        Assert.Equal([CloseReason.PeerClosed], faulty.Echo.Ends.Keys);
    }

    [Theory]
    [Rows("recv", Error.ECONNRESET, Error.ETIMEDOUT, Error.EHOSTUNREACH)]
    [Rows("send", Error.ECONNRESET, Error.EPIPE)]
    public void A_broken_connection_is_closed_with_its_reason_and_is_the_only_one(string call, Error error, When when)
    {
        using var faulty = new FaultyServer();
        Shaken shaken = faulty.Shake(call, error, when, mayBeHit: true);
        Eventually.Equal(0, () => faulty.Server.ConnectionCount);
        Assert.InRange(shaken.Hits, 0, shaken.Faults);
        CloseReason fitting = error is Error.ECONNRESET or Error.EPIPE ? CloseReason.Reset : CloseReason.NetworkError;
        Assert.Equal(shaken.Faults, faulty.Echo.EndsWith(fitting));
        Assert.Equal(faulty.Echo.Closed - shaken.Faults, faulty.Echo.EndsWith(CloseReason.PeerClosed));
    }

    [Fact]
    public void Closing_a_connection_that_the_peer_has_just_reset_ends_it_as_reset()
    {
        using var received = new ManualResetEventSlim();
        using var reset = new ManualResetEventSlim();
        var handler = new LambdaHandler
        {
            Received = (connection, _) =>
            {
                received.Set();
                reset.Wait(Eventually.Patience);
                connection.Close();
            },
        };
        using var faulty = new FaultyServer(options => options with { HandlerFactory = () => handler });
        var client = new TestClient(faulty.EndPoint);
        client.Send([1]);
        Assert.True(received.Wait(Eventually.Patience, TestContext.Current.CancellationToken));
        client.Reset();
        reset.Set();
        Eventually.Equal(1, () => handler.ClosedCount);
        Assert.Equal(CloseReason.Reset, handler.LastReason);
    }
}
