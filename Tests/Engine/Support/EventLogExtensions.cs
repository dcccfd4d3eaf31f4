using Microsoft.Extensions.Logging;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Logs as the engine does, for tests of the log alone.</summary>
internal static class EventLogExtensions
{
    internal static void Add(
        this EventLog log, string message, EventLevel level = EventLevel.Information, Exception? exception = null, int id = 99, string name = "Test") =>
        ((ILogger)log).Log((LogLevel)level, new EventId(id, name), message, exception, static (text, _) => text);
}
