namespace C10kServer.Clients;

/// <summary>
/// <c>mix</c>: a number of places, in each of which one connection after the other does something drawn by lot. The lot is
/// the seed's and the connection's number's alone, and so are the particulars: a run that went wrong can be had again,
/// whatever the timing.
/// </summary>
internal sealed class MixCommand
{
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(1);

    private readonly MixOptions _options;
    private readonly MixTally[] _tallies;
    private readonly int _shares;

    public MixCommand(MixOptions options)
    {
        _options = options;
        _tallies = [.. options.Kinds.Select(_ => new MixTally())];
        _shares = options.Kinds.Sum(kind => kind.Share);
    }

    public int Run()
    {
        // The timeout is for those that are still open when the duration is over.
        using var loop = new Loop(_options.Duration + _options.Common.Timeout);
        var fleet = new Fleet(loop, _options.Common) { Ended = OnEnded };
        fleet.OpenOn(_options.Common.Count, i => Begin(fleet, i));
        if (_options.Progress)
        {
            loop.Schedule(ProgressInterval, () => Tell(fleet));
        }

        loop.RunUntil(() => false, _options.Duration);
        fleet.OpenNoMore();
        bool complete = loop.RunUntil(() => fleet.AllEnded);

        Ledger ledger = fleet.Ledger;
        Line line = ledger.AddTo(AddTotal(new Line("mix")));
        for (int i = 0; i < _tallies.Length; i++)
        {
            line.Add(_options.Kinds[i].Name, _tallies[i].ToString());
        }

        line.Add("noticed", fleet.EndsNoticed).AddFlag("complete", complete).AddSeconds("slowest_connect", fleet.SlowestConnect)
            .AddSeconds("seconds", fleet.Elapsed).AddRate("rate", ledger.Connected, fleet.Elapsed).Add("errors", ledger.Errors).Print();

        // The ledger is kept by outcome and the tallies by kind: that they agree says that no connection was lost sight of.
        bool accounted = _tallies.Sum(t => t.Open) == 0 && _tallies.Sum(t => t.Begun) == ledger.Connected + ledger.Failed
            && _tallies.Sum(t => t.Sent) == ledger.Sent && _tallies.Sum(t => t.Received) == ledger.Received;
        return ledger.Wrong > 0 ? ExitCode.Bad : !complete ? ExitCode.TimedOut : accounted ? ExitCode.Good : ExitCode.Bad;
    }

    private Client Begin(Fleet fleet, int number)
    {
        Random random = RandomOf(number);
        int index = Draw(random);
        _tallies[index].Begun++;
        return _options.Kinds[index].Make(fleet, number, random, _options);
    }

    private void OnEnded(Client client)
    {
        int index = Draw(RandomOf(client.Number));
        _tallies[index].Count(client, _options.Kinds[index].DidWell(client));
    }

    private Random RandomOf(int number) => new(unchecked((_options.Common.Seed * 1_000_003) + number));

    private int Draw(Random random)
    {
        int lot = random.Next(_shares);
        int index = 0;
        while (lot >= _options.Kinds[index].Share)
        {
            lot -= _options.Kinds[index++].Share;
        }

        return index;
    }

    private void Tell(Fleet fleet)
    {
        Console.Error.WriteLine(fleet.Ledger.AddTo(AddTotal(new Line("progress").AddSeconds("seconds", fleet.Elapsed))).ToString());
        fleet.Loop.Schedule(ProgressInterval, () => Tell(fleet));
    }

    private Line AddTotal(Line line) => line.Add("begun", _tallies.Sum(t => t.Begun)).Add("well", _tallies.Sum(t => t.Well))
        .Add("cut", _tallies.Sum(t => t.Cut)).Add("refused", _tallies.Sum(t => t.Refused));
}
