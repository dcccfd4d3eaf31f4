using System.Collections.Concurrent;
using System.Net;

namespace C10kServer.Engine.Tests.Support;

/// <summary>A server for one test. At the end it is stopped, and nothing of it may be left in the process.</summary>
internal sealed class ServerFixture : IDisposable
{
    private readonly int _descriptors = ProcessLedger.Descriptors();
    private readonly ConcurrentBag<TestClient> _clients = [];

    internal ServerFixture(ConnectionHandler handler, Func<ServerOptions, ServerOptions>? with = null)
        : this(() => handler, with)
    {
    }

    internal ServerFixture(Func<ConnectionHandler> factory, Func<ServerOptions, ServerOptions>? with = null)
    {
        var options = new ServerOptions { Name = "test", WorkerCount = 2, HandlerFactory = factory };
        Server = new Server(with is null ? options : with(options));
        Server.Start();
    }

    internal Server Server { get; }

    internal IPEndPoint EndPoint => (IPEndPoint)Server.EndPoints[0];

    /// <summary>What a test expects of handlers unless it says otherwise.</summary>
    internal int ExpectedHandlerErrors { get; set; }

    /// <summary>A client. From any thread. The fixture closes it at the latest, so that a test that fails half way shows why and not this.</summary>
    internal TestClient Connect(int receiveBuffer = 0)
    {
        var client = new TestClient(EndPoint, receiveBuffer);
        _clients.Add(client);
        return client;
    }

    internal IReadOnlyList<ConnectionInfo> Rows(ConnectionQuery? filter = null)
    {
        var rows = new List<ConnectionInfo>();
        using ConnectionWalk walk = Server.Walk(filter ?? ConnectionQuery.All);
        while (walk.TryTake(Eventually.Patience, TestContext.Current.CancellationToken, out IReadOnlyList<ConnectionInfo>? portion))
        {
            rows.AddRange(portion);
        }

        Assert.Empty(walk.SilentWorkers);
        return rows;
    }

    public void Dispose()
    {
        Server.Stop();
        Array.ForEach([.. _clients], static client => client.Dispose());
        Assert.True(Server.State == ServerState.Stopped, $"{Server.State}: {Server.LastError}\n{string.Join('\n', Server.Options.Log.GetRecords())}");
        Assert.Equal(Server.Accepted, Server.Closed);
        Assert.Equal(ExpectedHandlerErrors, Server.HandlerErrors);
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        ProcessLedger.AssertDescriptors(_descriptors);
    }
}
