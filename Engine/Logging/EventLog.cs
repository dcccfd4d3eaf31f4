using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>How much an <see cref="EventRecord"/> matters. The values are the same as in Microsoft.Extensions.Logging.</summary>
public enum EventLevel
{
    /// <summary>Every detail.</summary>
    Trace,

    /// <summary>The beginning and the end of each connection.</summary>
    Debug,

    /// <summary>An event of a server as a whole.</summary>
    Information,

    /// <summary>An event that an administrator should look at.</summary>
    Warning,

    /// <summary>A failure.</summary>
    Error,

    /// <summary>A failure that ended a server.</summary>
    Critical,

    /// <summary>No event has this level. As a minimum it turns the log off.</summary>
    None,
}

/// <summary>One line of an <see cref="EventLog"/>.</summary>
/// <param name="Sequence">The record's place in the log, from 1, without gaps.</param>
/// <param name="Time">When the event happened.</param>
/// <param name="Level">How much the event matters.</param>
/// <param name="Id">The kind of event as a number, which stays the same over versions.</param>
/// <param name="Name">The kind of event, in a word.</param>
/// <param name="Message">What happened.</param>
/// <param name="Error">The exception's type and message; null without an exception.</param>
/// <param name="Exception">The exception's text with its stack trace; null without an exception.</param>
public sealed record EventRecord(
    long Sequence, DateTimeOffset Time, EventLevel Level, int Id, string Name, string Message, string? Error, string? Exception);

/// <summary>
/// The last events of a server. Their number is bounded, because a failure that repeats ten thousand times must not fill the memory. Members
/// may be called from any thread. The interface of the logging package is implemented explicitly, because the package's types load in a
/// private context and must not be visible outside of it.
/// </summary>
public sealed class EventLog : ILogger
{
    /// <summary>The number of events that are kept.</summary>
    public const int Capacity = 1024;

    // Characters. The length is bounded, because a handler may put a peer's input into its messages, and that input may be a megabyte.
    private const int LongestMessage = 4096;
    private const int LongestException = 16384;

    // Each record is at the place of its sequence number, modulo the capacity. Written under the lock and read without it.
    private readonly EventRecord?[] _ring = new EventRecord?[Capacity];
    private readonly Lock _lock = new();
    private LogFile? _file;
    private long _sequence;

    /// <summary>
    /// Raised after each event, and when the server has ended, on the thread where that happens. A subscriber must neither throw nor take long.
    /// </summary>
    public event Action? Written;

    /// <summary>Events below this level are not kept. It may be set at any time.</summary>
    public EventLevel MinimumLevel { get; set; } = EventLevel.Information;

    /// <summary>The events kept, oldest first.</summary>
    public IReadOnlyList<EventRecord> GetRecords() => GetRecords(0, out _);

    /// <summary>The events after a given one, oldest first. Takes no lock, so that a reader never holds up a worker that logs.</summary>
    /// <param name="after">The sequence number of the last event that the caller knows; 0 for none.</param>
    /// <param name="lost">How many events after that one are not kept any more.</param>
    public IReadOnlyList<EventRecord> GetRecords(long after, out long lost)
    {
        var records = new List<EventRecord>();
        long last;
        do
        {
            // The writer puts a record into the ring before it writes the record's number here, so the ring holds all records up to this number.
            last = Volatile.Read(ref _sequence);
            for (long sequence = Math.Max(after, last - Capacity) + 1; sequence <= last; sequence++)
            {
                EventRecord record = Volatile.Read(ref _ring[sequence % Capacity])!;

                // With another number, a newer record has replaced this one meanwhile, and this one is lost.
                if (record.Sequence == sequence)
                {
                    records.Add(record);
                }
            }
        }
        while (records.Count == 0 && last > after);

        // Counted up to the last record that is returned. Losses after it are counted by the next call.
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

            // The record first and then the number, because a reader takes no lock.
            Volatile.Write(ref _ring[sequence % Capacity], record);
            Volatile.Write(ref _sequence, sequence);

            // Under the lock, so that the file has the records in the order of the log. Add only puts the record into a queue; another thread
            // writes the file.
            _file?.Add(record);
        }

        Wake();
    }

    internal bool IsEnabled(LogLevel level) => (int)level >= (int)MinimumLevel && level != LogLevel.None;

    /// <summary>Sets the file that events are also written to; null for no file.</summary>
    internal void SetFile(LogFile? file)
    {
        lock (_lock)
        {
            _file = file;
        }
    }

    /// <summary>Makes the readers that follow the log read again.</summary>
    internal void Wake() => Written?.Invoke();

    private static string Cut(string text, int longest) => text.Length <= longest ? text : $"{text.AsSpan(0, longest)}… ({text.Length} characters)";
}
