using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public sealed class MeterTests : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Dictionary<string, Instrument> _instruments = [];
    private readonly List<Reading> _readings = [];

    public MeterTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "C10kServer")
            {
                _instruments[instrument.Name] = instrument;
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    [Fact]
    public void What_a_listener_reads_is_what_the_servers_count_and_their_names_tell_them_apart()
    {
        var echo = new LambdaHandler { Received = static (connection, data) => connection.Write(data) };
        var failing = new LambdaHandler { Received = static (_, _) => throw new InvalidOperationException("no") };
        using var one = new ServerFixture(echo, static options => options with { Name = "one", WorkerCount = 3, MaxConnections = 2 });
        using var two = new ServerFixture(failing, static options => options with { Name = "two" }) { ExpectedHandlerErrors = 1 };
        two.Server.Subscribe(static _ => throw new InvalidOperationException("no"));
        using TestClient first = one.Connect();
        using TestClient second = one.Connect();
        first.Echo(1, 1000);
        second.Echo(2, 234);
        using (TestClient rejected = one.Connect())
        {
            Eventually.Equal(1, () => one.Server.Rejected);
        }

        using (TestClient client = two.Connect())
        {
            client.Send([1]);
            Assert.Empty(client.ReceiveToEnd());
        }

        Eventually.Equal(1, () => two.Server.Closed);
        Eventually.Equal(2, () => two.Server.EventErrors);
        Read();
        foreach (Server server in new[] { one.Server, two.Server })
        {
            Assert.Equal(server.ConnectionCount, Value(server, "c10kserver.connections.active"));
            Assert.Equal(server.Accepted, Value(server, "c10kserver.connections.accepted"));
            Assert.Equal(server.Closed, Value(server, "c10kserver.connections.closed"));
            Assert.Equal(server.Rejected, Value(server, "c10kserver.connections.rejected"));
            Assert.Equal(server.MessagesReceived, Value(server, "c10kserver.messages.received"));
            Assert.Equal(server.HandlerErrors, Value(server, "c10kserver.handler.errors"));
            Assert.Equal(server.HandlerTimeouts, Value(server, "c10kserver.handler.timeouts"));
            Assert.Equal(server.EventErrors, Value(server, "c10kserver.event.errors"));
            Assert.Equal(server.EventsLost, Value(server, "c10kserver.event.losses"));
            Assert.Equal(server.AcceptErrors, Value(server, "c10kserver.accept.errors"));
            Assert.Equal(server.BytesReceived, Value(server, "c10kserver.network.io", ("network.io.direction", "receive")));
            Assert.Equal(server.BytesSent, Value(server, "c10kserver.network.io", ("network.io.direction", "transmit")));
            foreach (WorkerInfo worker in server.GetWorkers())
            {
                Assert.Equal(worker.ConnectionCount, Value(server, "c10kserver.worker.connections", ("c10kserver.worker.id", worker.Id)));
                Assert.Equal(worker.Stalls, Value(server, "c10kserver.worker.stalls", ("c10kserver.worker.id", worker.Id)));
                Assert.InRange(Value(server, "c10kserver.worker.wakeups", ("c10kserver.worker.id", worker.Id)), 0, worker.Wakeups);
                Assert.InRange(Value(server, "c10kserver.worker.events", ("c10kserver.worker.id", worker.Id)), 0, worker.Events);
                Assert.InRange(
                    Value(server, "c10kserver.worker.cpu.time", ("c10kserver.worker.id", worker.Id)), 0, worker.CpuTime.TotalSeconds);
            }
        }

        Assert.Equal((2, 1234, 1, 0), (one.Server.ConnectionCount, one.Server.BytesSent, one.Server.Rejected, one.Server.HandlerErrors));
        Assert.Equal((0, 1, 1), (two.Server.ConnectionCount, two.Server.BytesReceived, two.Server.HandlerErrors));
        Reading reading = _readings.First(static reading => reading.Tags.Contains(new("c10kserver.server.name", "one")));
        Assert.Contains(new("server.address", "127.0.0.1"), reading.Tags);
        Assert.Contains(new("server.port", one.Server.Port), reading.Tags);
        Assert.True(one.Server.GetWorkers().Sum(static worker => worker.Wakeups) > 0);

        // Each fixture wants to see no thread left.
        one.Server.Stop();
    }

    [Fact]
    public void A_stopped_server_is_read_no_more()
    {
        using (var fixture = new ServerFixture(new LambdaHandler(), static options => options with { Name = "gone" }))
        {
            Read();
            Assert.Contains(_readings, static reading => reading.Tags.Contains(new("c10kserver.server.name", "gone")));
            fixture.Server.Stop();
            Read();
            Assert.Empty(_readings);
        }
    }

    [Fact]
    public void A_server_that_did_not_start_is_never_read()
    {
        using var fixture = new ServerFixture(new LambdaHandler());
        using var second = new Server(new ServerOptions { Name = "second", Port = fixture.Server.Port, HandlerFactory = static () => new LambdaHandler() });
        Assert.Throws<ServerStartException>(second.Start);
        Read();
        Assert.DoesNotContain(_readings, static reading => reading.Tags.Contains(new("c10kserver.server.name", "second")));
    }

    [Fact]
    public void A_stopped_server_is_not_held()
    {
        WeakReference server = StartAndStop();
        Eventually.True(() =>
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return !server.IsAlive;
        });

        [MethodImpl(MethodImplOptions.NoInlining)]
        WeakReference StartAndStop()
        {
            using var fixture = new ServerFixture(new LambdaHandler());
            Read();
            return new WeakReference(fixture.Server);
        }
    }

    [Fact]
    public void Instruments_have_a_unit_a_description_and_the_version_of_the_module()
    {
        using var fixture = new ServerFixture(new LambdaHandler());
        Assert.Equal(16, _instruments.Count);
        foreach (Instrument instrument in _instruments.Values)
        {
            Assert.Matches(@"^c10kserver(\.[a-z]+)+$", instrument.Name);
            Assert.Matches(@"^(By|s|\{[a-z]+\})$", instrument.Unit);
            Assert.Matches(@"^[A-Z].+\.$", instrument.Description);
            Assert.True(instrument.IsObservable);
            Assert.Equal(typeof(Server).Assembly.GetName().Version!.ToString(3), instrument.Meter.Version);

            // A name is no other one's beginning: each is a leaf.
            Assert.DoesNotContain(_instruments.Keys, name => name.StartsWith(instrument.Name + ".", StringComparison.Ordinal));
        }
    }

    private void Read()
    {
        _readings.Clear();
        _listener.RecordObservableInstruments();
    }

    private double Value(Server server, string name, params (string Key, object Value)[] tags) =>
        Assert.Single(_readings, reading => reading.Name == name
            && reading.Tags.Contains(new("c10kserver.server.name", server.Options.Name))
            && tags.All(tag => reading.Tags.Contains(new(tag.Key, tag.Value)))).Value;

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        _readings.Add(new Reading(instrument.Name, value, tags.ToArray()));

    private sealed record Reading(string Name, double Value, KeyValuePair<string, object?>[] Tags);
}
