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
/// <param name="Sequence">Its place in the log, from 1, without gaps.</param>
/// <param name="Time">When it happened.</param>
/// <param name="Level">How much it matters.</param>
/// <param name="Id">The kind of event, stable over versions.</param>
/// <param name="Name">The kind of event, in a word.</param>
/// <param name="Message">What happened.</param>
/// <param name="Error">The exception's type and message, where there was one.</param>
/// <param name="Exception">The exception's text, with its stack trace, where there was one.</param>
public sealed record EventRecord(
    long Sequence, DateTimeOffset Time, EventLevel Level, int Id, string Name, string Message, string? Error, string? Exception);

/// <summary>
/// The last events of a server, bounded: what goes wrong ten thousand times must not fill the memory. From any thread.
/// The interface of the logging package is implemented explicitly: its types load in a private context, and none of them
/// may be seen outside.
/// </summary>
public sealed class EventLog : ILogger
{
    /// <summary>The number of events that are kept.</summary>
    public const int Capacity = 1024;

    // Characters. A handler may make its messages of what a peer has sent, and that may be a megabyte.
    private const int LongestMessage = 4096;
    private const int LongestException = 16384;

    // A record is at the place of its sequence number. Written under the lock, read without it.
    private readonly EventRecord?[] _ring = new EventRecord?[Capacity];
    private readonly Lock _lock = new();
    private LogFile? _file;
    private long _sequence;

    /// <summary>
    /// Told after each event, and when the server has ended, on the thread where that happens: whoever subscribes must neither throw
    /// nor take long.
    /// </summary>
    public event Action? Written;

    /// <summary>Events below it are not kept. Live.</summary>
    public EventLevel MinimumLevel { get; set; } = EventLevel.Information;

    /// <summary>The events kept, oldest first.</summary>
    public IReadOnlyList<EventRecord> GetRecords() => GetRecords(0, out _);

    /// <summary>The events after one, oldest first. It takes no lock, so that a reader never holds up a worker that logs.</summary>
    /// <param name="after">The sequence number of the last one known; 0 for none.</param>
    /// <param name="lost">How many came after it that are not kept any more.</param>
    public IReadOnlyList<EventRecord> GetRecords(long after, out long lost)
    {
        var records = new List<EventRecord>();
        long last;
        do
        {
            // The ring has each record up to this number before the number says so.
            last = Volatile.Read(ref _sequence);
            for (long sequence = Math.Max(after, last - Capacity) + 1; sequence <= last; sequence++)
            {
                EventRecord record = Volatile.Read(ref _ring[sequence % Capacity])!;

                // Else a newer record has replaced it meanwhile, and it is lost.
                if (record.Sequence == sequence)
                {
                    records.Add(record);
                }
            }
        }
        while (records.Count == 0 && last > after);

        // Up to the last one that is given: what is behind it is the next look's.
        lost = records.Count == 0 ? 0 : records[^1].Sequence - after - records.Count;
        return records;
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => IsEnabled(logLevel);

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
        {
            return;
        }

        string message = Cut(formatter(state, exception), LongestMessage);
        string? error = exception is null ? null : Cut(ExceptionText.Brief(exception), LongestMessage);
        string? text = exception is null ? null : Cut(ExceptionText.Full(exception), LongestException);
        lock (_lock)
        {
            long sequence = _sequence + 1;
            var record = new EventRecord(
                sequence, DateTimeOffset.Now, (EventLevel)logLevel, eventId.Id, eventId.Name ?? "", message, error, text);

            // In this order, because a reader takes no lock.
            Volatile.Write(ref _ring[sequence % Capacity], record);
            Volatile.Write(ref _sequence, sequence);

            // In here, so that the file has the records in the order of the log. It is a queue's end; the file itself is another thread's.
            _file?.Add(record);
        }

        Wake();
    }

    internal bool IsEnabled(LogLevel level) => (int)level >= (int)MinimumLevel && level != LogLevel.None;

    /// <summary>Where events go besides; null for nowhere.</summary>
    internal void SetFile(LogFile? file)
    {
        lock (_lock)
        {
            _file = file;
        }
    }

    /// <summary>Whoever follows the log looks again.</summary>
    internal void Wake() => Written?.Invoke();

    private static string Cut(string text, int longest) => text.Length <= longest ? text : $"{text.AsSpan(0, longest)}… ({text.Length} characters)";
}
