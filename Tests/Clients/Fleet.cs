using System.Diagnostics;

namespace C10kServer.Clients;

/// <summary>The connections of one command: opens them, so many at a time, and keeps their ledger.</summary>
internal sealed class Fleet
{
    // The runtime opens files whenever it loads an assembly, and dies if it cannot.
    private const ulong DescriptorsForOthers = 128;

    // Where nobody listens a connect fails at once: without a pause, opening on and on would be one hot loop.
    private static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMilliseconds(50);

    private readonly int _connectingLimit;
    private readonly long _started = Stopwatch.GetTimestamp();
    private Func<int, Client>? _make;
    private int _total;
    private int _parallel;
    private int _next;
    private int _connecting;
    private bool _endless;
    private bool _pausing;

    public Fleet(Loop loop, CommonOptions options)
    {
        Loop = loop;
        Target = new Target(options.Address, options.Port, options.Sources);
        Payload = options.Lines ? new LinePayload(options.Size) : new Payload(options.Seed);
        Unverified = options.Unverified;
        _connectingLimit = options.Connecting;
        loop.BeforeWait = Pump;
    }

    public Loop Loop { get; }

    public Target Target { get; }

    public Payload Payload { get; }

    public Ledger Ledger { get; } = new();

    public bool Unverified { get; }

    /// <summary>Told of each connection that has ended or failed, once, with its outcome.</summary>
    public Action<Client>? Ended { get; set; }

    /// <summary>Since the fleet was made.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    /// <summary>The longest that a connect took: where a backlog overflows, the SYN comes again after 1, 3, 7 s.</summary>
    public TimeSpan SlowestConnect { get; private set; }

    /// <summary>How many have had the server's FIN while they did not read, and left it unanswered.</summary>
    public int EndsNoticed { get; private set; }

    /// <summary>How many of those are still open.</summary>
    public int Unanswered { get; private set; }

    /// <summary>Whether each that was to be opened is connected or has failed.</summary>
    public bool AllOpened => _next == _total && _connecting == 0;

    /// <summary>Whether, besides, each has ended.</summary>
    public bool AllEnded => AllOpened && Ledger.Open == 0;

    /// <summary>Opens connections 0 to total - 1, of which no more than <paramref name="parallel"/> live at a time.</summary>
    /// <exception cref="UsageException">That is more than this process may have descriptors for.</exception>
    public void Open(int total, int parallel, Func<int, Client> make)
    {
        ulong limit = Libc.DescriptorLimit();
        if ((ulong)Math.Min(total, parallel) + DescriptorsForOthers > limit)
        {
            throw new UsageException(string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"{Math.Min(total, parallel)} connections at a time are too many for the limit of {limit} descriptors (ulimit -n)."));
        }

        _make = make;
        _total = total;
        _parallel = parallel;
    }

    /// <summary>Opens a connection for each that ends, so that so many live at a time, until <see cref="OpenNoMore"/>.</summary>
    /// <exception cref="UsageException">That is more than this process may have descriptors for.</exception>
    public void OpenOn(int parallel, Func<int, Client> make)
    {
        _endless = true;
        Open(int.MaxValue, parallel, make);
    }

    /// <summary>Begins no more connections; those that live are left to end.</summary>
    public void OpenNoMore() => _total = _next;

    public void OnConnected(TimeSpan time)
    {
        _connecting--;
        Ledger.Connected++;
        if (time > SlowestConnect)
        {
            SlowestConnect = time;
        }
    }

    public void OnEndNoticed()
    {
        EndsNoticed++;
        Unanswered++;
    }

    public void OnEnded(Client client, int error)
    {
        if (client.HasNoticedEnd)
        {
            Unanswered--;
        }

        switch (client.Outcome)
        {
            case Outcome.Failed:
                _connecting--;
                Ledger.Failed++;
                PauseOpening();
                break;
            case Outcome.Ended:
                Ledger.Ended++;
                break;
            case Outcome.Reset:
                Ledger.Reset++;
                break;
            case Outcome.Closed:
                Ledger.Closed++;
                break;
            case Outcome.Aborted:
                Ledger.Aborted++;
                break;
        }

        if (error != 0)
        {
            Ledger.CountError(error);
        }

        Ended?.Invoke(client);
    }

    private void PauseOpening()
    {
        if (_endless && !_pausing)
        {
            _pausing = true;
            Loop.Schedule(PauseAfterFailure, () => _pausing = false);
        }
    }

    // From the loop and not from OnEnded: connects that fail at once would otherwise go ever deeper.
    private void Pump()
    {
        while (!_pausing && _next < _total && _connecting < _connectingLimit && _connecting + Ledger.Open < _parallel)
        {
            _connecting++;
            _make!(_next++).Open();
        }
    }
}
