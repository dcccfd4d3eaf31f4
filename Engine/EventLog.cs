using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>How much an <see cref="EventRecord"/> matters. The values are those of Microsoft.Extensions.Logging.</summary>
public enum EventLevel
{
    /// <summary>Every detail.</summary>
    Trace,

    /// <summary>Each connection's beginning and end.</summary>
    Debug,

    /// <summary>What a server does as a whole.</summary>
    Information,

    /// <summary>What somebody should look at.</summary>
    Warning,

    /// <summary>What failed.</summary>
    Error,

    /// <summary>What ended a server.</summary>
    Critical,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>One line of an <see cref="EventLog"/>.</summary>
/// <param name="Time">When it happened.</param>
/// <param name="Level">How much it matters.</param>
/// <param name="Id">The kind of event, stable over versions.</param>
/// <param name="Name">The kind of event, in a word.</param>
/// <param name="Message">What happened.</param>
/// <param name="Exception">The exception's text, where there was one.</param>
public sealed record EventRecord(DateTimeOffset Time, EventLevel Level, int Id, string Name, string Message, string? Exception);

/// <summary>
/// The last events of a server, bounded: what goes wrong ten thousand times must not fill the memory. From any thread.
/// The interface of the logging package is implemented explicitly: its types load in a private context, and none of them
/// may be seen outside.
/// </summary>
public sealed class EventLog : ILogger
{
    /// <summary>The number of events that are kept.</summary>
    public const int Capacity = 1024;

    private readonly Queue<EventRecord> _records = new();
    private readonly Lock _lock = new();

    /// <summary>Events below it are not kept. Live.</summary>
    public EventLevel MinimumLevel { get; set; } = EventLevel.Information;

    /// <summary>The events kept, oldest first.</summary>
    public IReadOnlyList<EventRecord> GetRecords()
    {
        lock (_lock)
        {
            return [.. _records];
        }
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => IsEnabled(logLevel);

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
        {
            return;
        }

        var record = new EventRecord(
            DateTimeOffset.Now, (EventLevel)logLevel, eventId.Id, eventId.Name ?? "", formatter(state, exception), exception?.ToString());
        lock (_lock)
        {
            if (_records.Count == Capacity)
            {
                _records.Dequeue();
            }

            _records.Enqueue(record);
        }
    }

    internal bool IsEnabled(LogLevel level) => (int)level >= (int)MinimumLevel && level != LogLevel.None;
}
