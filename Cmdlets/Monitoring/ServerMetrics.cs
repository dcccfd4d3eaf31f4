namespace C10kServer;

/// <summary>The metrics of servers, named as Prometheus requires: in base units, and with _total at the end of a count that only grows.</summary>
internal static class ServerMetrics
{
    /// <summary>Writes one text for all servers, because the samples of a metric must stand together, whatever server they belong to.</summary>
    internal static string ToPrometheus(IReadOnlyList<Server> servers)
    {
        PrometheusText text = new();
        text.Gauge(
            "c10k_server_info", "What a server is and where it listens; always 1.", servers,
            server => PrometheusText.Labels(
                ("server", server.Name), ("protocol", server.Protocol), ("address", AddressOf(server)), ("version", Version)),
            _ => 1);
        text.Gauge(
            "c10k_server_running", "Whether a server takes connections: 1, or 0 when it is suspended, draining, stopped or failed.",
            servers, Of, server => server.State == ServerState.Running ? 1 : 0);
        text.Gauge(
            "c10k_server_start_time_seconds", "When a server was started, in seconds since 1970.",
            servers, Of, server => server.StartTime.ToUnixTimeMilliseconds() / 1000.0);
        text.Gauge("c10k_workers", "Worker threads of a server.", servers, Of, server => server.WorkerCount);
        text.Gauge("c10k_connections", "Connections that are open.", servers, Of, server => server.ConnectionCount);
        text.Gauge("c10k_connections_peak", "The most connections that were open at a time.", servers, Of, server => server.PeakConnectionCount);
        text.Counter("c10k_connections_accepted_total", "Connections accepted.", servers, Of, server => server.Accepted);
        text.Counter("c10k_connections_closed_total", "Connections that have ended.", servers, Of, server => server.Closed);
        text.Counter(
            "c10k_connections_rejected_total", "Connections turned away because a limit was reached.", servers, Of, server => server.Rejected);
        text.Counter("c10k_accept_errors_total", "Accepts that failed.", servers, Of, server => server.AcceptErrors);
        text.Counter("c10k_handler_errors_total", "Exceptions that handlers threw.", servers, Of, server => server.HandlerErrors);
        text.Counter(
            "c10k_handler_timeouts_total", "Messages with which a script handler took too long.", servers, Of, server => server.HandlerTimeouts);
        text.Counter("c10k_event_errors_total", "Exceptions that subscribers of events threw.", servers, Of, server => server.EventErrors);
        text.Counter("c10k_events_lost_total", "Events that came too fast for their subscribers.", servers, Of, server => server.EventsLost);
        text.Counter("c10k_messages_received_total", "Messages received.", servers, Of, server => server.MessagesReceived);
        text.Counter("c10k_received_bytes_total", "Bytes received from all connections.", servers, Of, server => server.BytesReceived);
        text.Counter("c10k_sent_bytes_total", "Bytes sent to all connections.", servers, Of, server => server.BytesSent);
        AddWorkers(text, servers);
        return text.ToString();
    }

    private static void AddWorkers(PrometheusText text, IReadOnlyList<Server> servers)
    {
        // Each worker is read once, so that its values belong together. Threads that have ended have no values.
        WorkerSample[] workers =
        [
            .. servers.SelectMany(server => server.GetWorkerInfos()
                .Where(info => info.State != Engine.WorkerState.Stopped)
                .Select(info => new WorkerSample(server, info))),
        ];
        text.Gauge("c10k_worker_connections", "Connections that a worker owns.", workers, OfWorker, worker => worker.Info.ConnectionCount);
        text.Gauge("c10k_worker_queue_length", "Commands that wait for a worker.", workers, OfWorker, worker => worker.Info.QueueLength);
        text.Counter(
            "c10k_worker_cpu_seconds_total", "Processor time that a worker's thread has used.",
            workers, OfWorker, worker => worker.Info.CpuTime.TotalSeconds);
        text.Counter("c10k_worker_wakeups_total", "Turns of a worker's loop.", workers, OfWorker, worker => worker.Info.Wakeups);
        text.Counter("c10k_worker_events_total", "Events that epoll gave a worker.", workers, OfWorker, worker => worker.Info.Events);
        text.Counter(
            "c10k_worker_stalls_total", "Turns of a worker's loop that a handler held up.", workers, OfWorker, worker => worker.Info.Stalls);
    }

    private static string Version => typeof(ServerMetrics).Assembly.GetName().Version?.ToString(3) ?? "";

    // A label is data: it has escapes of its own, and contains a path unchanged.
    private static string AddressOf(Server server) => server.EndPoint is Engine.UnixEndPoint unix ? $"unix:{unix.Path}" : $"{server.EndPoint}";

    private static string Of(Server server) => PrometheusText.Labels(("server", server.Name));

    private static string OfWorker(WorkerSample worker) =>
        PrometheusText.Labels(("server", worker.Server.Name), ("worker", $"{worker.Info.Id}"));

    private readonly record struct WorkerSample(Server Server, Engine.WorkerInfo Info);
}
