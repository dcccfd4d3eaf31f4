namespace C10kServer;

/// <summary>Reads the log of a server in steps. Each step continues after the last one.</summary>
internal sealed class LogReader(Server server, LogLevel level)
{
    private bool _begun;
    private long _last;
    private DateTimeOffset _time;

    internal Server Server { get; } = server;

    /// <summary>Whether all records have been read and no more will come.</summary>
    internal bool IsDone { get; private set; }

    /// <summary>The records since the last read, in order.</summary>
    /// <param name="lost">The number of records that could not be read, because newer ones had replaced them.</param>
    internal IReadOnlyList<(DateTimeOffset At, LogRecord Record)> Read(out long lost)
    {
        // This is read before the log. Once the server has ended, all of its records are in the log.
        bool ended = Server.HasEnded;
        List<(DateTimeOffset At, LogRecord Record)> records = [];
        foreach (Engine.EventRecord record in Server.Log.GetRecords(_last, out lost))
        {
            _last = record.Sequence;

            // The wall clock may have been set back in between, but the records must keep their order.
            _time = record.Time > _time ? record.Time : _time;
            if ((LogLevel)record.Level >= level)
            {
                records.Add((_time, new LogRecord(Server, record)));
            }
        }

        // Records that were gone before the first read do not count as lost, because the log never keeps them all.
        lost = _begun ? lost : 0;
        _begun = true;
        IsDone = ended;
        return records;
    }
}
