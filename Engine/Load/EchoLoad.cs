namespace C10kServer.Engine.Load;

/// <summary>
/// Connections that send requests again and again. Without a rate, each connection sends when it has its answer (a closed loop, which a slow
/// server slows down). With a rate, requests are sent when they are due (an open loop), and the latency of a request that the server holds up
/// counts from the moment at which it was due.
/// </summary>
internal sealed class EchoLoad : LoadLoop
{
    private readonly long _limit;

    // The connections with room for a request. A connection has one entry for each request that it has room for. The entry that has waited
    // longest is next. Used only with a rate.
    private readonly Queue<LoadConnection> _free = new();
    private readonly List<LoadConnection> _toFlush = [];
    private Pace _pace;
    private long _issued;
    private long _end;
    private bool _sending;

    internal EchoLoad(LoadOptions options)
        : base(options) => _limit = options.Count > 0 ? options.Count : long.MaxValue;

    private bool IsOpenLoop => Options.Rate > 0;

    protected override void Load()
    {
        ConnectAll();
        ReadClock();
        Begun = SendingBegun = Now;
        _end = Options.Duration > TimeSpan.Zero ? Now + ToNanoseconds(Options.Duration) : Never;
        _sending = true;
        Enter(LoadPhase.Sending, _end);
        Prime();
        while (!IsStopped && OpenCount > 0 && Now < _end && _issued < _limit)
        {
            Turn(Math.Min(_end, IsOpenLoop ? SendDue() : Never));
        }

        _sending = false;
        SendingEnded = Now;
        Unsent = IsOpenLoop ? Math.Min(_limit, _pace.DueBy(Math.Min(Now, _end - 1))) - _issued : 0;

        // Twice the timeout, so that the wait also ends for an answer that comes byte by byte.
        long last = Now + (2 * ToNanoseconds(Options.Timeout));
        Enter(LoadPhase.Finishing, last);
        while (!IsStopped && InFlight > 0 && Now < last)
        {
            Turn(last);
        }

        if (!IsStopped)
        {
            GiveUpUnanswered();
        }
    }

    protected override void OnAnswered(LoadConnection connection, int count)
    {
        if (!_sending)
        {
            return;
        }

        if (!IsOpenLoop)
        {
            Send(connection, count);
            return;
        }

        for (int i = 0; i < count; i++)
        {
            _free.Enqueue(connection);
        }
    }

    private void Send(LoadConnection connection, int count)
    {
        count = (int)Math.Min(count, _limit - _issued);
        if (count > 0 && Now < _end)
        {
            _issued += count;
            Issue(connection, count, Now);
            Flush(connection);
        }
    }

    private void Prime()
    {
        if (IsOpenLoop)
        {
            _pace = new Pace(Options.Rate, Now);
            _free.EnsureCapacity(Connections.Length * Options.Pipeline);
            for (int i = 0; i < Options.Pipeline; i++)
            {
                foreach (LoadConnection connection in Connections)
                {
                    _free.Enqueue(connection);
                }
            }

            return;
        }

        foreach (LoadConnection connection in Connections)
        {
            if (connection.State == LoadConnection.Condition.Open && !IsStopped)
            {
                ReadClock();
                Send(connection, Options.Pipeline);
            }
        }
    }

    /// <summary>
    /// Sends the requests that are due, as far as connections have room. All requests of one connection go out together. Returns the moment at
    /// which the next request is due.
    /// </summary>
    private long SendDue()
    {
        long due = Math.Min(_limit, _pace.DueBy(Now));
        while (_issued < due && _free.TryDequeue(out LoadConnection? connection))
        {
            if (connection.State != LoadConnection.Condition.Open)
            {
                continue;
            }

            Issue(connection, 1, _pace.DueAt(_issued++));
            if (!connection.IsListed)
            {
                connection.IsListed = true;
                _toFlush.Add(connection);
            }
        }

        foreach (LoadConnection connection in _toFlush)
        {
            connection.IsListed = false;
            Flush(connection);
        }

        _toFlush.Clear();

        // If there was no room, the next answer will make room and end the wait, so no moment is needed.
        return _issued < due || _issued == _limit ? Never : _pace.DueAt(_issued);
    }
}
