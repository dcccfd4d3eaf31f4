using System.Net;

namespace C10kServer.Faults.Tests;

/// <summary>
/// An echo server whose system calls are about to fail, with a bystander and newcomers. At the end it is stopped, and nothing may
/// be left of it, neither in the process nor in the shim's ledger.
/// </summary>
internal sealed class FaultyServer : IDisposable
{
    /// <summary>A server is as it was within this time after the fault is over.</summary>
    internal static readonly TimeSpan Recovery = TimeSpan.FromSeconds(2);

    private readonly int _descriptors = ProcessLedger.Descriptors();

    internal FaultyServer(Func<ServerOptions, ServerOptions>? with = null)
    {
        Shim.Require();
        Shim.Forget();

        // Short, as it stands in the thread names, of which the kernel keeps 15 characters.
        var options = new ServerOptions { Name = "f", WorkerCount = 2, HandlerFactory = () => Echo };
        Server = new Server(with is null ? options : with(options));
        Server.Start();
    }

    internal Server Server { get; }

    internal CountingEcho Echo { get; } = new();

    internal IPEndPoint EndPoint => (IPEndPoint)Server.EndPoints[0];

    /// <summary>A server that has ended in this state is as it should be.</summary>
    internal ServerState ExpectedState { get; set; } = ServerState.Stopped;

    /// <summary>The failures of accept that the engine has logged.</summary>
    internal List<EventRecord> LoggedAcceptErrors => Logged("AcceptFailed");

    /// <summary>The events of a kind that the engine has logged.</summary>
    internal List<EventRecord> Logged(string name) => [.. Server.Options.Log.GetRecords().Where(record => record.Name == name)];

    /// <summary>
    /// Lets calls fail while visitors come and go, until enough have failed and the visitors have gone on all the while; then the
    /// server must be as before at once.
    /// </summary>
    internal Shaken Shake(string call, Error error, When when, bool mayBeHit = false)
    {
        using var bystander = Visitor.Bystander(EndPoint, mayBeHit);
        using var newcomer = Visitor.Newcomer(EndPoint, mayBeHit);
        Shim.Armed armed;
        Eventually.True(() => Going(bystander, 0, newcomer, 0));
        using (armed = Shim.Arm(call, (int)error, Schedule.For(when)))
        {
            int rounds = bystander.Rounds;
            int visits = newcomer.Rounds;
            Eventually.True(
                () => armed.Injected >= Schedule.EnoughOf(when) && Going(bystander, rounds + 10, newcomer, visits + 5),
                () => $"{armed.Injected} of {armed.Calls} failed, {bystander.Rounds - rounds} rounds and {newcomer.Rounds - visits} visits went well");
        }

        AssertServes();
        bystander.End();
        newcomer.End();
        Assert.True(mayBeHit || bystander.Slowest < Recovery, $"the bystander once waited for {bystander.Slowest}");
        return new Shaken(armed.Injected, bystander.Hits + newcomer.Hits);
    }

    /// <summary>A new client is served, and soon.</summary>
    internal void AssertServes()
    {
        var watch = Stopwatch.StartNew();
        using var client = new TestClient(EndPoint);
        client.Echo(4711, 10_000);
        Assert.True(watch.Ran < Recovery, $"a new client waited for {watch.Elapsed}");
    }

    public void Dispose()
    {
        Server.Stop();
        Assert.True(
            Server.State == ExpectedState,
            $"{Server.State}: {Server.LastError}\n{string.Join('\n', Server.Options.Log.GetRecords())}");
        Assert.Equal(Server.Accepted, Server.Closed);
        Assert.Equal(Echo.Opened, Echo.Closed);
        Assert.Equal(0, Server.HandlerErrors);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Shim.AssertNothingLeft();
        ProcessLedger.AssertDescriptors(_descriptors);
    }

    private static bool Going(Visitor bystander, int rounds, Visitor newcomer, int visits)
    {
        bystander.Check();
        newcomer.Check();
        return bystander.Rounds > rounds && newcomer.Rounds > visits;
    }
}

/// <summary>What a schedule has done.</summary>
/// <param name="Faults">Calls that it made fail.</param>
/// <param name="Hits">Visitors whose connection was lost by it.</param>
internal sealed record Shaken(long Faults, int Hits);
