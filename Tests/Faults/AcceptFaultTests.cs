
namespace C10kServer.Faults.Tests;

/// <summary>Faults of accept4. The shim fails it before the real call, so that the connection stays in the kernel's queue.</summary>
public class AcceptFaultTests
{
    [Theory]
    [Rows("accept4", Error.EINTR, Error.ECONNABORTED, Error.EPROTO, Error.EPERM, Error.EMFILE, Error.ENFILE, Error.ENOBUFS, Error.ENOMEM)]
    public void A_failure_to_accept_is_counted_and_costs_no_connection(string call, Error error, When when)
    {
        using var faulty = new FaultyServer();
        Shaken shaken = faulty.Shake(call, error, when);

        // To be interrupted is no failure.
        Assert.Equal(error == Error.EINTR ? 0 : shaken.Faults, faulty.Server.AcceptErrors);
        Assert.Equal(error == Error.EINTR, faulty.LoggedAcceptErrors.Count == 0);
        Eventually.Equal(0, () => faulty.Server.ConnectionCount);
        Assert.Equal([CloseReason.PeerClosed], faulty.Echo.Ends.Keys);
    }

    [Theory]
    [InlineData(Error.EMFILE)]
    [InlineData(Error.ENFILE)]
    [InlineData(Error.ENOBUFS)]
    [InlineData(Error.ENOMEM)]
    public void While_something_has_run_out_accepting_pauses_without_spinning_and_goes_on_after(Error error)
    {
        using var faulty = new FaultyServer();
        using var bystander = Visitor.Bystander(faulty.EndPoint, mayBeHit: false);
        Eventually.True(() => bystander.Rounds > 0);
        var acceptor = EngineCpu.Acceptor();
        using Shim.Armed armed = Shim.Arm("accept4", (int)error, Schedule.EveryCall);
        var watch = Stopwatch.StartNew();
        TimeSpan cpu = acceptor.Time();
        using var waiting = new TestClient(faulty.EndPoint);
        waiting.Send(Keyed.Bytes(1, 1000));
        int rounds = bystander.Rounds;
        Eventually.True(() => watch.ElapsedMilliseconds > 1300 && bystander.Rounds > rounds + 10);
        long calls = armed.Calls;
        double load = (acceptor.Time() - cpu) / watch.Elapsed;
        Assert.InRange(calls, 2, 1 + watch.ElapsedMilliseconds / 100);
        Assert.True(load < 0.05, $"the acceptor took {load:P0} of a core");
        armed.Dispose();
        var recovery = Stopwatch.StartNew();
        Keyed.Verify(1, waiting.Receive(1000));
        Assert.True(recovery.Ran < FaultyServer.Recovery, $"it took {recovery.Elapsed}");
        bystander.End();
        Assert.Equal(armed.Injected, faulty.Server.AcceptErrors);
        AssertLoggedOnceASecond(faulty.LoggedAcceptErrors, atLeast: 2);
    }

    [Fact]
    public void A_loop_that_accepts_itself_pauses_that_alone_and_serves_on()
    {
        using var faulty = new FaultyServer(static options => options with { WorkerCount = 1 });
        using var bystander = Visitor.Bystander(faulty.EndPoint, mayBeHit: false);
        Eventually.True(() => bystander.Rounds > 0);
        using Shim.Armed armed = Shim.Arm("accept4", (int)Error.EMFILE, Schedule.EveryCall);
        var watch = Stopwatch.StartNew();
        using var waiting = new TestClient(faulty.EndPoint);
        waiting.Send(Keyed.Bytes(1, 1000));
        int rounds = bystander.Rounds;
        Eventually.True(() => watch.ElapsedMilliseconds > 500 && bystander.Rounds > rounds + 10);
        Assert.InRange(armed.Calls, 2, 1 + watch.ElapsedMilliseconds / 100);
        armed.Dispose();
        Keyed.Verify(1, waiting.Receive(1000));
        bystander.End();
        Assert.True(bystander.Slowest < FaultyServer.Recovery, $"the bystander once waited for {bystander.Slowest}");
    }

    [Fact]
    public void Stopping_while_accepting_pauses_returns_at_once_and_refuses_those_who_wait()
    {
        using var faulty = new FaultyServer();
        using Shim.Armed armed = Shim.Arm("accept4", (int)Error.EMFILE, Schedule.EveryCall);
        using var waiting = new TestClient(faulty.EndPoint);
        Eventually.True(() => armed.Injected > 1);
        var watch = Stopwatch.StartNew();
        faulty.Server.Stop();
        Assert.True(watch.Ran.TotalMilliseconds < 500, $"stopping took {watch.Elapsed}");
        waiting.AssertReset();
        Assert.Equal(0, faulty.Server.Accepted);
    }

    [Fact]
    public void A_broken_listening_socket_faults_the_server_which_leaves_nothing_behind()
    {
        using var faulty = new FaultyServer { ExpectedState = ServerState.Faulted };
        using var client = new TestClient(faulty.EndPoint);
        client.Echo(1, 1000);
        using Shim.Armed armed = Shim.Arm("accept4", (int)Error.EINVAL, Schedule.Nth(1));
        using var trigger = new TestClient(faulty.EndPoint);
        client.ReceiveToEnd();
        Eventually.Equal(ServerState.Faulted, () => faulty.Server.State);
        Assert.Contains("accept4", faulty.Server.LastError, StringComparison.Ordinal);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Shim.AssertNothingLeft();
    }

    internal static void AssertLoggedOnceASecond(List<EventRecord> records, int atLeast)
    {
        Assert.True(records.Count >= atLeast, $"logged {records.Count} times");
        for (int i = 1; i < records.Count; i++)
        {
            // The engine's clock ticks every few milliseconds, and the wall clock may be adjusted.
            TimeSpan apart = records[i].Time - records[i - 1].Time;
            Assert.True(apart > TimeSpan.FromSeconds(0.9), $"logged twice within {apart}");
        }
    }
}
