namespace C10kServer;

/// <summary>An event that a server has logged.</summary>
public sealed class LogRecord
{
    internal LogRecord(Server server, Engine.EventRecord record)
    {
        Server = server;
        Sequence = record.Sequence;
        Time = record.Time;
        Level = (LogLevel)record.Level;
        EventId = record.Id;
        EventName = record.Name;
        Message = record.Message;
        Exception = record.Exception;
    }

    // Not public: a record that is exported would take its whole server along.
    internal Server Server { get; }

    /// <summary>The record's place in the log of its server, from 1.</summary>
    public long Sequence { get; }

    /// <summary>When it happened, in local time.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>How much it matters.</summary>
    public LogLevel Level { get; }

    /// <summary>The Id of the server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The kind of event, as a number that stays.</summary>
    public int EventId { get; }

    /// <summary>The kind of event, in a word.</summary>
    public string EventName { get; }

    /// <summary>What happened. It begins with the server's name.</summary>
    public string Message { get; }

    /// <summary>The exception with its stack trace, where there was one.</summary>
    public string? Exception { get; }

    /// <summary>The record in short, with its message escaped.</summary>
    /// <returns>For instance "Warning: web: the backlog of 8192 is cut to 4096 by net.core.somaxconn.".</returns>
    public override string ToString() => $"{Level}: {DisplayText.Text(Message)}";
}
