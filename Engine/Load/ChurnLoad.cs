namespace C10kServer.Engine.Load;

/// <summary>
/// Each connection connects, echoes once and closes; a fixed number of them run at a time. Latency counts from the beginning of the connect,
/// or with a rate from the moment at which the connect was due.
/// </summary>
internal sealed class ChurnLoad : LoadLoop
{
    // Nanoseconds. Without the pause, a server that refuses connections would be asked again as fast as the processor can.
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

        // The next connect begins at once, and not together with others at the end of the turn, so that the number of connections under way stays
        // the same and the server gets no bursts.
        _ = ConnectDue();
    }

    protected override void OnLost(LoadConnection connection)
    {
        _free.Enqueue(connection);
        _pausedUntil = Now + PauseAfterFailure;
    }

    /// <summary>Begins the connections that are due. Returns the moment at which the next one is due.</summary>
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

            // Taken out of the queue first, because a connection that fails at once goes back to the queue's end.
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

    /// <summary>Ends the load if this many connects have failed and none has succeeded, because then none will.</summary>
    private void ThrowIfHopeless(int failures)
    {
        if (Tally.Connected == 0 && Tally.FailedConnects >= failures && !IsStopped)
        {
            ThrowConnectFailed();
        }
    }
}
