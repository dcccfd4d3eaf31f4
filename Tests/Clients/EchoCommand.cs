namespace C10kServer.Clients;

/// <summary><c>echo</c>: messages back and forth on a number of connections, as fast as the server answers.</summary>
internal sealed class EchoCommand : IEchoOwner
{
    private readonly CommonOptions _options;
    private readonly long _messages;
    private readonly TimeSpan? _duration;
    private readonly int _depth;
    private readonly List<EchoClient> _clients = [];
    private int _busy;
    private int _broken;

    /// <param name="messages">How many for each connection, where no duration is given.</param>
    /// <param name="duration">For how long, where it is not the number of messages that ends it.</param>
    /// <param name="depth">How many messages of a connection are in flight.</param>
    public EchoCommand(CommonOptions options, long messages, TimeSpan? duration, int depth)
    {
        _options = options;
        _messages = duration is null ? messages : long.MaxValue;
        _duration = duration;
        _depth = depth;
    }

    public Histogram Latencies { get; } = new();

    public int Run()
    {
        using var loop = new Loop(_options.Timeout);
        var fleet = new Fleet(loop, _options);
        fleet.Open(_options.Count, _options.Count, i =>
        {
            var client = new EchoClient(fleet, i, this);
            _clients.Add(client);
            return client;
        });
        bool complete = loop.RunUntil(() => fleet.AllOpened);
        TimeSpan connected = fleet.Elapsed;

        foreach (EchoClient client in _clients.Where(c => c.IsOpen))
        {
            _busy++;
            client.Begin(_messages, _options.Size, _depth);
        }

        if (_duration is TimeSpan duration && complete)
        {
            loop.RunUntil(() => _busy == 0, duration);
            foreach (EchoClient client in _clients)
            {
                client.Finish();
            }
        }

        complete = complete && loop.RunUntil(() => _busy == 0);
        TimeSpan time = fleet.Elapsed - connected;
        foreach (EchoClient client in _clients)
        {
            client.Close();
        }

        complete = complete && loop.RunUntil(() => fleet.AllEnded);
        Ledger ledger = fleet.Ledger;
        bool good = complete && ledger.Failed + ledger.Ended + ledger.Reset + ledger.Wrong + _broken == 0;
        ledger.AddTo(new Line("echo").Add("connections", _options.Count).Add("messages", Latencies.Count)).Add("broken", _broken)
            .AddFlag("complete", complete).AddSeconds("connect_seconds", connected).AddSeconds("slowest_connect", fleet.SlowestConnect)
            .AddSeconds("seconds", time).AddRate("rate", Latencies.Count, time)
            .Add("p50", Latencies.Percentile(0.5)).Add("p99", Latencies.Percentile(0.99)).Add("max", Latencies.Max)
            .Add("errors", ledger.Errors).Print();
        return good ? ExitCode.Good : loop.Expired && !complete ? ExitCode.TimedOut : ExitCode.Bad;
    }

    public void OnConnected(EchoClient client)
    {
        // All begin together, once all are there.
    }

    public void OnExchanged(EchoClient client) => _busy--;

    public void OnEnded(EchoClient client, bool busy)
    {
        if (busy)
        {
            _busy--;
            _broken++;
        }
    }
}
