using System.Diagnostics.Metrics;
using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// Gives the figures of all running servers to collectors of metrics in this process: OpenTelemetry, dotnet-counters, a MeterListener. The
/// meter is made with the first server. All instruments are observable, and read counters that the engine keeps anyway, so they cost nothing
/// without a listener. Names and units follow OpenTelemetry's conventions.
/// </summary>
internal static class ServerMeter
{
    internal const string Name = "C10kServer";
    internal const string ServerTag = "c10kserver.server.name";
    internal const string AddressTag = "server.address";
    internal const string PortTag = "server.port";
    internal const string WorkerTag = "c10kserver.worker.id";
    internal const string DirectionTag = "network.io.direction";

    private static readonly Lock Gate = new();

    // Replaced as a whole, so that a collector sees either the old array or the new one. A server that has ended is not in the array.
    private static volatile Observed[] _servers = [];
    private static Meter? _meter;

    /// <summary>Adds a server, which runs from now on.</summary>
    internal static void Join(Server server)
    {
        lock (Gate)
        {
            _servers = [.. _servers, new Observed(server, Tags(server))];
            _meter ??= MakeMeter();
        }
    }

    /// <summary>Removes a server that has ended.</summary>
    internal static void Leave(Server server)
    {
        lock (Gate)
        {
            _servers = [.. _servers.Where(observed => observed.Server != server)];
        }
    }

    private static Meter MakeMeter()
    {
        var meter = new Meter(Name, typeof(ServerMeter).Assembly.GetName().Version?.ToString(3));
        meter.CreateObservableUpDownCounter(
            "c10kserver.connections.active", static () => Observe(static s => s.ConnectionCount), "{connection}", "Connections that are open.");
        meter.CreateObservableCounter(
            "c10kserver.connections.accepted", static () => Observe(static s => s.Accepted), "{connection}", "Connections accepted.");
        meter.CreateObservableCounter(
            "c10kserver.connections.closed", static () => Observe(static s => s.Closed), "{connection}", "Connections that have ended.");
        meter.CreateObservableCounter(
            "c10kserver.connections.rejected",
            static () => Observe(static s => s.Rejected),
            "{connection}",
            "Connections turned away because a limit was reached.");
        meter.CreateObservableCounter(
            "c10kserver.network.io", static () => ObserveBytes(), "By", "Bytes received from and sent to all connections.");
        meter.CreateObservableCounter(
            "c10kserver.messages.received", static () => Observe(static s => s.MessagesReceived), "{message}", "Messages received.");
        meter.CreateObservableCounter(
            "c10kserver.handler.errors", static () => Observe(static s => s.HandlerErrors), "{error}", "Exceptions that handlers threw.");
        meter.CreateObservableCounter(
            "c10kserver.handler.timeouts",
            static () => Observe(static s => s.HandlerTimeouts),
            "{message}",
            "Messages with which a script handler took too long.");
        meter.CreateObservableCounter(
            "c10kserver.event.errors", static () => Observe(static s => s.EventErrors), "{error}", "Exceptions that subscribers of events threw.");
        meter.CreateObservableCounter(
            "c10kserver.event.losses", static () => Observe(static s => s.EventsLost), "{event}", "Events that came too fast for their subscribers.");
        meter.CreateObservableCounter(
            "c10kserver.accept.errors", static () => Observe(static s => s.AcceptErrors), "{error}", "Accepts that failed.");
        meter.CreateObservableUpDownCounter(
            "c10kserver.worker.connections",
            static () => ObserveWorkers(static w => (long)w.ConnectionCount),
            "{connection}",
            "Connections that a worker owns.");
        meter.CreateObservableCounter(
            "c10kserver.worker.cpu.time",
            static () => ObserveWorkers(static w => w.CpuTime.TotalSeconds),
            "s",
            "Processor time that a worker's thread has used.");
        meter.CreateObservableCounter(
            "c10kserver.worker.wakeups", static () => ObserveWorkers(static w => w.Wakeups), "{wakeup}", "Turns of a worker's loop.");
        meter.CreateObservableCounter(
            "c10kserver.worker.events", static () => ObserveWorkers(static w => w.Events), "{event}", "Events that epoll gave a worker.");
        meter.CreateObservableCounter(
            "c10kserver.worker.stalls",
            static () => ObserveWorkers(static w => w.Stalls),
            "{stall}",
            "Turns of a worker's loop that took over 100 ms.");
        return meter;
    }

    private static IEnumerable<Measurement<long>> Observe(Func<Server, long> value) =>
        _servers.Select(observed => new Measurement<long>(value(observed.Server), observed.Tags));

    private static IEnumerable<Measurement<long>> ObserveBytes() => _servers.SelectMany(static observed => new Measurement<long>[]
    {
        new(observed.Server.BytesReceived, [.. observed.Tags, new(DirectionTag, "receive")]),
        new(observed.Server.BytesSent, [.. observed.Tags, new(DirectionTag, "transmit")]),
    });

    private static IEnumerable<Measurement<T>> ObserveWorkers<T>(Func<WorkerInfo, T> value)
        where T : struct =>
        _servers.SelectMany(observed => observed.Server.GetWorkers().Select(worker =>
            new Measurement<T>(value(worker), [.. observed.Tags, new(WorkerTag, worker.Id)])));

    /// <summary>
    /// The tags of a server: its name, which tells it from the other servers, and its first address, for which OpenTelemetry has attributes.
    /// </summary>
    private static KeyValuePair<string, object?>[] Tags(Server server)
    {
        var name = new KeyValuePair<string, object?>(ServerTag, server.Options.Name);
        return (server.EndPoints is [var first, ..] ? first : null) switch
        {
            IPEndPoint ip => [name, new(AddressTag, ip.Address.ToString()), new(PortTag, ip.Port)],
            UnixEndPoint unix => [name, new(AddressTag, unix.Path)],
            _ => [name],
        };
    }

    private sealed record Observed(Server Server, KeyValuePair<string, object?>[] Tags);
}
