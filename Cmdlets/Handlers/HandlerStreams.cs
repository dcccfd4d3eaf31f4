using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// The streams of a handler's pipeline. The pipeline runs for as long as the server does, so each record is logged and removed at once.
/// Otherwise all records would stay in memory until the server ends.
/// </summary>
internal static class HandlerStreams
{
    internal static void Attach(PSDataStreams streams, HandlerThread thread)
    {
        streams.Error.DataAdded += (_, _) => Each(streams.Error, record => thread.Session?.Report(HandlerErrorException.From(record)));
        streams.Warning.DataAdded += (_, _) => Each(streams.Warning, record => Log(Engine.EventLevel.Warning, thread.Session, record.Message));
        streams.Information.DataAdded +=
            (_, _) => Each(streams.Information, record => Log(Engine.EventLevel.Information, thread.Session, $"{record.MessageData}"));
        streams.Verbose.DataAdded += (_, _) => Each(streams.Verbose, record => Log(Engine.EventLevel.Debug, thread.Session, record.Message));
        streams.Debug.DataAdded += (_, _) => Each(streams.Debug, record => Log(Engine.EventLevel.Trace, thread.Session, record.Message));
        streams.Progress.DataAdded += (_, _) => streams.Progress.Clear();
    }

    private static void Log(Engine.EventLevel level, Engine.Session? session, string message) => session?.Log(level, message);

    private static void Each<T>(PSDataCollection<T> stream, Action<T> action)
    {
        foreach (T item in stream.ReadAll())
        {
            action(item);
        }
    }
}
