using C10kServer.Clients.Kinds;

namespace C10kServer.Clients;

/// <summary><c>misbehave</c>: connections that all do the same thing that a server has to live with.</summary>
internal sealed class MisbehaveCommand
{
    /// <summary>Every kind by its name on the command line, with what makes one connection of it.</summary>
    public static readonly IReadOnlyDictionary<string, Func<Fleet, int, MisbehaveOptions, Client>> Kinds =
        new SortedDictionary<string, Func<Fleet, int, MisbehaveOptions, Client>>(StringComparer.Ordinal)
        {
            ["half-close"] = (fleet, i, o) => new HalfCloser(fleet, i, o.Common.Size, o.Expect ?? o.Common.Size),
            ["reset"] = (fleet, i, o) => new Resetter(fleet, i, o.Common.Size),
            ["never-read"] = (fleet, i, o) => new NeverReader(fleet, i, o.Bytes),
            ["slow-write"] = (fleet, i, o) => new SlowWriter(fleet, i, o.Common.Size, o.Interval),
            ["slow-read"] = (fleet, i, o) => new SlowReader(fleet, i, o.Bytes, o.Interval, o.Piece),
            ["garbage"] = (fleet, i, o) => new GarbageSender(fleet, i, o.Bytes, o.Common.Seed),
            ["vanish"] = (fleet, i, o) => new Vanisher(fleet, i, o.Common.Size),
            ["connect-and-close"] = (fleet, i, o) => new ConnectCloser(fleet, i),
        };

    private readonly string _kind;
    private readonly MisbehaveOptions _options;
    private readonly List<Client> _clients = [];

    public MisbehaveCommand(string kind, MisbehaveOptions options)
    {
        _kind = kind;
        _options = options;
    }

    public int Run()
    {
        using var loop = new Loop(_options.Common.Timeout);
        var fleet = new Fleet(loop, _options.Common);
        Func<Fleet, int, MisbehaveOptions, Client> make = Kinds[_kind];
        fleet.Open(_options.Common.Count, _options.Common.Count, i =>
        {
            Client client = make(fleet, i, _options);
            _clients.Add(client);
            return client;
        });

        // Those that do not read stay open after the server's FIN, and nothing more will come.
        // Those that would go on for ever, or nearly, have done their part when the duration is over.
        bool endless = _kind is "never-read" or "slow-write" or "slow-read" or "vanish";
        bool complete = loop.RunUntil(() => fleet.AllOpened && fleet.Ledger.Open == fleet.Unanswered, endless ? _options.Duration : null);
        complete |= endless && !loop.Expired;
        TimeSpan time = fleet.Elapsed;

        Ledger ledger = fleet.Ledger;
        int behaved = _clients.Count(c => c.Behaved);
        ledger.AddTo(new Line("misbehave").Add("kind", _kind).Add("connections", _options.Common.Count).Add("behaved", behaved))
            .Add("noticed", fleet.EndsNoticed).AddFlag("complete", complete).AddSeconds("slowest_connect", fleet.SlowestConnect)
            .AddSeconds("seconds", time).Add("errors", ledger.Errors).Print();

        // What is still open is closed by the end of the process, as is a vanished client's.
        return !complete ? ExitCode.TimedOut : behaved == _options.Common.Count ? ExitCode.Good : ExitCode.Bad;
    }
}
