namespace C10kServer.Clients;

/// <summary><c>churn</c>: connect, one message back and forth, close, again and again.</summary>
internal sealed class ChurnCommand : IEchoOwner
{
    private readonly CommonOptions _options;
    private readonly int _total;
    private readonly int _parallel;
    private readonly string _end;
    private int _broken;

    /// <param name="end">How each ends: close at once, reset, or halfclose (shut down, and close after the server).</param>
    public ChurnCommand(CommonOptions options, int total, int parallel, string end)
    {
        _options = options;
        _total = total;
        _parallel = parallel;
        _end = end;
    }

    public Histogram Latencies { get; } = new();

    public int Run()
    {
        using var loop = new Loop(_options.Timeout);
        var fleet = new Fleet(loop, _options);
        fleet.Open(_total, _parallel, i => new EchoClient(fleet, i, this));
        bool complete = loop.RunUntil(() => fleet.AllEnded);
        TimeSpan time = fleet.Elapsed;

        Ledger ledger = fleet.Ledger;
        bool good = complete && ledger.Failed + ledger.Reset + ledger.Ended + ledger.Wrong + _broken == 0;
        ledger.AddTo(new Line("churn").Add("cycles", Latencies.Count)).Add("broken", _broken).AddFlag("complete", complete)
            .AddSeconds("slowest_connect", fleet.SlowestConnect).AddSeconds("seconds", time).AddRate("rate", Latencies.Count, time)
            .Add("p50", Latencies.Percentile(0.5)).Add("p99", Latencies.Percentile(0.99)).Add("max", Latencies.Max)
            .Add("errors", ledger.Errors).Print();
        return good ? ExitCode.Good : loop.Expired && !complete ? ExitCode.TimedOut : ExitCode.Bad;
    }

    public void OnConnected(EchoClient client) => client.Begin(1, _options.Size, 1);

    public void OnExchanged(EchoClient client)
    {
        switch (_end)
        {
            case "reset":
                client.Abort();
                break;
            case "halfclose":
                client.Close();
                break;
            default:
                client.Drop();
                break;
        }
    }

    public void OnEnded(EchoClient client, bool busy)
    {
        if (busy)
        {
            _broken++;
        }
    }
}
