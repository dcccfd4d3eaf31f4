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

    // This is not public, because an export of a record would export its whole server, too.
    internal Server Server { get; }

    /// <summary>The record's place in the log of its server, from 1.</summary>
    public long Sequence { get; }

    /// <summary>When the event happened, in local time.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>How important the event is.</summary>
    public LogLevel Level { get; }

    /// <summary>The Id of the server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The kind of event, as a number that never changes.</summary>
    public int EventId { get; }

    /// <summary>The kind of event, in a word.</summary>
    public string EventName { get; }

    /// <summary>What happened. The text begins with the server's name.</summary>
    public string Message { get; }

    /// <summary>The exception with its stack trace, if there was one.</summary>
    public string? Exception { get; }

    /// <summary>A short text for the record, with its message escaped.</summary>
    /// <returns>For instance "Warning: web: the backlog of 8192 is cut to 4096 by net.core.somaxconn.".</returns>
    public override string ToString() => $"{Level}: {DisplayText.Text(Message)}";
}
