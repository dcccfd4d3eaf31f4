namespace C10kServer;

/// <summary>Reads the log of a server from one look to the next.</summary>
internal sealed class LogReader(Server server, LogLevel level)
{
    private bool _begun;
    private long _last;
    private DateTimeOffset _time;

    internal Server Server { get; } = server;

    /// <summary>All has been read, and nothing more will come.</summary>
    internal bool IsDone { get; private set; }

    /// <summary>The records since the last look, in order.</summary>
    /// <param name="lost">How many could not be read, as newer ones had pushed them out.</param>
    internal IReadOnlyList<(DateTimeOffset At, LogRecord Record)> Read(out long lost)
    {
        // In this order: what is logged until the end is in the log by then.
        bool ended = Server.HasEnded;
        List<(DateTimeOffset At, LogRecord Record)> records = [];
        foreach (Engine.EventRecord record in Server.Log.GetRecords(_last, out lost))
        {
            _last = record.Sequence;

            // The wall clock may have been set back in between; the order of a log stays.
            _time = record.Time > _time ? record.Time : _time;
            if ((LogLevel)record.Level >= level)
            {
                records.Add((_time, new LogRecord(Server, record)));
            }
        }

        // What was gone before the first look is not missed: it is as many as the log does not keep.
        lost = _begun ? lost : 0;
        _begun = true;
        IsDone = ended;
        return records;
    }
}
