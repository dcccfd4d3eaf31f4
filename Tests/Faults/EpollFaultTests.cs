namespace C10kServer.Faults.Tests;

/// <summary>Faults of epoll_ctl and epoll_wait while a server runs.</summary>
public class EpollFaultTests
{
    [Theory]
    [Rows("epoll_ctl", Error.ENOSPC, Error.ENOMEM)]
    public void A_connection_that_cannot_be_watched_is_ended_and_is_the_only_one(string call, Error error, When when)
    {
        using var faulty = new FaultyServer();
        Shaken shaken = faulty.Shake(call, error, when, mayBeHit: true);
        Eventually.Equal(0, () => faulty.Server.ConnectionCount);
        Assert.InRange(faulty.Server.AcceptErrors, 0, shaken.Faults);
        Assert.InRange(faulty.Echo.EndsWith(CloseReason.NetworkError) + faulty.Server.AcceptErrors, 0, shaken.Faults);
        Assert.Equal(faulty.Server.Accepted - faulty.Server.AcceptErrors, faulty.Echo.Opened);
        Assert.Equal(faulty.Echo.Closed - faulty.Echo.EndsWith(CloseReason.NetworkError), faulty.Echo.EndsWith(CloseReason.PeerClosed));
    }

    [Theory]
    [InlineData(Error.ENOSPC)]
    [InlineData(Error.ENOMEM)]
    public void A_connection_that_cannot_be_registered_is_reset_and_counted(Error error)
    {
        using var faulty = new FaultyServer(static options => options with { WorkerCount = 1 });
        using (Shim.Arm("epoll_ctl", (int)error, Schedule.EveryCall))
        {
            for (int i = 1; i <= 20; i++)
            {
                using var refused = new TestClient(faulty.EndPoint);
                refused.AssertReset();
                Eventually.Equal(i, () => faulty.Server.AcceptErrors);
            }
        }

        faulty.AssertServes();
        Assert.Equal(1, faulty.Echo.Opened);
        List<EventRecord> logged = faulty.Logged("AdoptFailed");
        AcceptFaultTests.AssertLoggedOnceASecond(logged, atLeast: 1);
    }

    [Theory]
    [InlineData(Error.ENOSPC)]
    [InlineData(Error.ENOMEM)]
    public void A_connection_whose_interest_cannot_be_changed_is_closed_as_a_network_error(Error error)
    {
        using var faulty = new FaultyServer();
        using var client = new TestClient(faulty.EndPoint);
        client.Echo(1, 1000);

        // What the socket does not take is queued, and OUT is wanted.
        using (Shim.Arm("send", (int)Error.EAGAIN, Schedule.Nth(1)))
        using (Shim.Arm("epoll_ctl", (int)error, Schedule.Nth(1)))
        {
            client.Send(Keyed.Bytes(2, 1000));
            Assert.Empty(client.ReceiveToEnd());
        }

        Eventually.Equal(1, () => faulty.Echo.EndsWith(CloseReason.NetworkError));
        faulty.AssertServes();
    }

    [Fact]
    public void Accepting_neither_ends_nor_spins_when_its_pause_cannot_be_told_to_epoll()
    {
        using var faulty = new FaultyServer();
        using var bystander = new TestClient(faulty.EndPoint);
        bystander.Echo(1, 1000);

        // Memory has run out: both fail. Waits are counted and none fails.
        using Shim.Armed accepts = Shim.Arm("accept4", (int)Error.ENOMEM, Schedule.EveryCall);
        using Shim.Armed controls = Shim.Arm("epoll_ctl", (int)Error.ENOMEM, Schedule.EveryCall);
        using Shim.Armed waits = Shim.Arm("epoll_wait", (int)Error.EINTR, Schedule.Nth(int.MaxValue));
        using var waiting = new TestClient(faulty.EndPoint);
        Eventually.True(() => accepts.Injected > 0 && controls.Injected > 4);
        Assert.InRange(waits.Calls, 0, 10 * controls.Injected);
        bystander.Echo(2, 1000);
        accepts.Dispose();
        controls.Dispose();
        waiting.Echo(1, 1000);
        faulty.AssertServes();
    }

    [Fact]
    public void While_there_is_no_memory_to_watch_a_listening_socket_the_loop_that_accepts_serves_on_without_a_pause()
    {
        using var faulty = new FaultyServer(static options => options with { WorkerCount = 1 });
        using var bystander = Visitor.Bystander(faulty.EndPoint, mayBeHit: false);
        Eventually.True(() => bystander.Rounds > 0);
        faulty.Server.Suspend();
        using var waiting = new TestClient(faulty.EndPoint);
        waiting.Send(Keyed.Bytes(1, 1000));
        int rounds = bystander.Rounds;
        Eventually.True(() => bystander.Rounds > rounds + 10);
        using Shim.Armed controls = Shim.Arm("epoll_ctl", (int)Error.ENOMEM, Schedule.EveryCall);
        rounds = bystander.Rounds;
        faulty.Server.Resume();

        // A loop that slept at each try would serve about one round between two of them.
        Eventually.True(() => controls.Injected >= 5);
        int served = bystander.Rounds - rounds;
        long tries = controls.Injected;
        Assert.True(served > 5 * tries, $"{served} rounds were served during {tries} tries");
        controls.Dispose();
        Keyed.Verify(1, waiting.Receive(1000));
        bystander.End();
        Assert.Equal(controls.Injected, faulty.Server.AcceptErrors);
    }

    [Fact]
    public void A_broken_epoll_faults_the_server_which_leaves_nothing_behind()
    {
        using var faulty = new FaultyServer { ExpectedState = ServerState.Faulted };
        using var client = new TestClient(faulty.EndPoint);
        client.Echo(1, 1000);
        using Shim.Armed armed = Shim.Arm("epoll_wait", (int)Error.EINVAL, Schedule.Nth(1));
        client.Send([1]);
        Eventually.Equal(ServerState.Faulted, () => faulty.Server.State);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Contains("epoll_wait", faulty.Server.LastError, StringComparison.Ordinal);
        Shim.AssertNothingLeft();
    }
}
