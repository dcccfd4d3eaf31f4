namespace C10kServer.Engine.Load;

/// <summary>Connect, one echo, close; so many at a time. Latency counts from the beginning of the connect, or from when that was due.</summary>
internal sealed class ChurnLoad : LoadLoop
{
    // A server that refuses would otherwise be asked as fast as a processor can.
    private const long PauseAfterFailure = 10_000_000;

    private readonly long _limit;
    private readonly Queue<LoadConnection> _free;
    private Pace _pace;
    private long _begun;
    private long _end;
    private long _pausedUntil;

    internal ChurnLoad(LoadOptions options)
        : base(options)
    {
        _limit = options.Count > 0 ? options.Count : long.MaxValue;
        _free = new Queue<LoadConnection>(Connections);
    }

    private bool IsOpenLoop => Options.Rate > 0;

    protected override void Load()
    {
        Begun = SendingBegun = Now;
        _end = Options.Duration > TimeSpan.Zero ? Now + ToNanoseconds(Options.Duration) : Never;
        _pace = new Pace(Options.Rate, Now);
        Enter(LoadPhase.Sending, _end);
        while (!IsStopped && Now < _end && _begun < _limit)
        {
            Turn(Math.Min(_end, ConnectDue()));
            ThrowIfHopeless(Connections.Length);
        }

        SendingEnded = Now;
        Unsent = IsOpenLoop ? Math.Min(_limit, _pace.DueBy(Math.Min(Now, _end - 1))) - _begun : 0;
        _end = 0;
        long last = Now + ToNanoseconds(Options.ConnectTimeout) + (2 * ToNanoseconds(Options.Timeout));
        Enter(LoadPhase.Finishing, last);
        while (!IsStopped && OpenCount + PendingCount > 0 && Now < last)
        {
            Turn(last);
        }

        if (!IsStopped)
        {
            GiveUpUnanswered();
            ThrowIfHopeless(1);
        }
    }

    protected override void OnConnected(LoadConnection connection)
    {
        Issue(connection, 1, connection.Begun);
        Flush(connection);
    }

    protected override void OnAnswered(LoadConnection connection, int count)
    {
        Release(connection, Target.ResetsWhenDone);
        _free.Enqueue(connection);

        // At once, and not with others when the turn is over: so many are under way all the time, and the server gets no bursts.
        _ = ConnectDue();
    }

    protected override void OnLost(LoadConnection connection)
    {
        _free.Enqueue(connection);
        _pausedUntil = Now + PauseAfterFailure;
    }

    /// <summary>Begins the connections that are to be begun. Returns when there will be more.</summary>
    private long ConnectDue()
    {
        long due = IsOpenLoop ? Math.Min(_limit, _pace.DueBy(Now)) : _limit;
        while (_begun < due && Now < _end && Now >= _pausedUntil && PendingCount < MaxPending && !IsStopped && _free.TryPeek(out LoadConnection? connection))
        {
            ReadClock();
            if (connection.Begun == 0)
            {
                connection.Begun = IsOpenLoop ? _pace.DueAt(_begun) : Now;
            }

            // Out of the queue first: one that fails at once goes back to its end.
            _free.Dequeue();
            if (Connect(connection))
            {
                _begun++;
                continue;
            }

            _free.Enqueue(connection);
            _pausedUntil = Now + BusyPause;
        }

        return Now < _pausedUntil ? _pausedUntil
            : IsOpenLoop && _begun == due && _begun < _limit ? _pace.DueAt(_begun)
            : Never;
    }

    /// <summary>Where so many have failed and none has succeeded, none will.</summary>
    private void ThrowIfHopeless(int failures)
    {
        if (Tally.Connected == 0 && Tally.FailedConnects >= failures && !IsStopped)
        {
            ThrowConnectFailed();
        }
    }
}
