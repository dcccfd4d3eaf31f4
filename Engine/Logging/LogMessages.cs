using System.Net;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

/// <summary>Every event that the engine logs. Ids stay the same over versions, because scripts filter by them.</summary>
internal static partial class LogMessages
{
    /// <summary>The id of the line that the file of a log adds itself; see <see cref="LogFile"/>.</summary>
    internal const int LogRecordsDroppedId = 60;

    [LoggerMessage(1, LogLevel.Information, "{Server} listens on {EndPoints} with {Workers} workers, up to {Limit} connections, backlog {Backlog}.")]
    internal static partial void ServerStarted(this ILogger log, string server, string endPoints, int workers, int limit, int backlog);

    [LoggerMessage(2, LogLevel.Information, "{Server} has stopped: {Accepted} connections accepted, {Received} bytes received, {Sent} bytes sent.")]
    internal static partial void ServerStopped(this ILogger log, string server, long accepted, long received, long sent);

    [LoggerMessage(3, LogLevel.Critical, "{Server} has failed, in {Thread}. Its connections are closed.")]
    internal static partial void ServerFaulted(this ILogger log, string server, string thread, Exception exception);

    [LoggerMessage(4, LogLevel.Warning, "{Server}: {Thread} did not end within {Milliseconds} ms, a handler blocks it. It was left to itself.")]
    internal static partial void ThreadAbandoned(this ILogger log, string server, string thread, int milliseconds);

    [LoggerMessage(5, LogLevel.Warning, "{Server}: the backlog of {Wanted} is cut to {Effective} by net.core.somaxconn.")]
    internal static partial void BacklogCut(this ILogger log, string server, int wanted, int effective);

    [LoggerMessage(6, LogLevel.Error, "{Server} has drained and could not be stopped. That is tried again every second.")]
    internal static partial void DrainNotEnded(this ILogger log, string server, Exception exception);

    [LoggerMessage(10, LogLevel.Warning, "{Server}: accepting failed: {Error}; {Count} times since it was last logged.")]
    internal static partial void AcceptFailed(this ILogger log, string server, string error, long count);

    [LoggerMessage(11, LogLevel.Debug, "{Server}: {Remote} was rejected, {Limit} connections are open.")]
    internal static partial void ConnectionRejected(this ILogger log, string server, EndPoint remote, int limit);

    [LoggerMessage(
        12, LogLevel.Warning, "{Server}: an accepted connection could not be registered: {Error}; {Count} times since it was last logged.")]
    internal static partial void AdoptFailed(this ILogger log, string server, string error, long count);

    [LoggerMessage(13, LogLevel.Warning, "{Server}: {Clients} in the queue of {EndPoint} could not be accepted before the end of the drain. They were reset.")]
    internal static partial void QueueLeft(this ILogger log, string server, string clients, EndPoint endPoint);

    [LoggerMessage(20, LogLevel.Debug, "{Server}: connection {Id} from {Remote} opened on worker {Worker}.")]
    internal static partial void ConnectionOpened(this ILogger log, string server, long id, EndPoint remote, int worker);

    [LoggerMessage(21, LogLevel.Debug, "{Server}: connection {Id} closed, {Reason}, {Received} bytes received, {Sent} sent.")]
    internal static partial void ConnectionClosed(this ILogger log, string server, long id, string reason, long received, long sent);

    [LoggerMessage(22, LogLevel.Warning, "{Server}: connection {Id} sent a message of more than {Limit} bytes and is closed. {Setter} sets the limit.")]
    internal static partial void MessageTooLong(this ILogger log, string server, long id, long limit, string setter);

    [LoggerMessage(
        23, LogLevel.Warning,
        "{Server}: the handler of connection {Id} queued more than {Limit} bytes for a peer that does not read, and the connection is reset. -MaxSendQueue sets the limit.")]
    internal static partial void SendQueueFull(this ILogger log, string server, long id, long limit);

    [LoggerMessage(30, LogLevel.Error, "{Server}: the handler of connection {Id} failed; it was closed.")]
    internal static partial void HandlerFailed(this ILogger log, string server, long id, Exception exception);

    [LoggerMessage(31, LogLevel.Error, "{Server}: no handler could be made for a connection; it was refused.")]
    internal static partial void HandlerFactoryFailed(this ILogger log, string server, Exception exception);

    [LoggerMessage(32, LogLevel.Warning, "{Server}: worker {Worker} was held up for {Milliseconds} ms by a handler.")]
    internal static partial void WorkerStalled(this ILogger log, string server, int worker, long milliseconds);

    [LoggerMessage(33, LogLevel.Warning, "{Server}: the handler of connection {Id} met an error and went on.")]
    internal static partial void HandlerErrorReported(this ILogger log, string server, long id, Exception exception);

    [LoggerMessage(34, LogLevel.Warning, "{Server}: the handler of connection {Id} took longer than {Seconds} s; it was stopped, and the connection closed.")]
    internal static partial void HandlerTimedOut(this ILogger log, string server, long id, double seconds);

    [LoggerMessage(EventId = 35, Message = "{Server}: connection {Id}: {Message}")]
    internal static partial void HandlerSaid(this ILogger log, LogLevel level, string server, long id, string message);

    [LoggerMessage(EventId = 36, Message = "{Server}: {Message}")]
    internal static partial void Reported(this ILogger log, LogLevel level, string server, string message);
    [LoggerMessage(46, LogLevel.Error, "{Server}: memory ran out on worker {Worker}, {Count} times since it was last logged. The connections that " +
        "needed memory were reset. Lower -MaxMessage or -MaxConnection, or give the process more memory.")]
    internal static partial void MemoryExhausted(this ILogger log, string server, int worker, long count);

    [LoggerMessage(45, LogLevel.Warning, "{Server}: unfinished messages took more than {Limit} bytes of memory on worker {Worker}; the {Count} " +
        "connections with the longest were closed. Lower -MaxMessage, give -MessageTimeout, or use more workers.")]
    internal static partial void InputBudgetExceeded(this ILogger log, string server, int worker, int count, long limit);

    [LoggerMessage(40, LogLevel.Error, "{Server}: a subscriber of its events failed; {Count} times since it was last logged.")]
    internal static partial void SubscriberFailed(this ILogger log, string server, long count, Exception exception);

    [LoggerMessage(41, LogLevel.Warning, "{Server}: {Count} events were lost since it was last logged, their subscribers are too slow.")]
    internal static partial void EventsLost(this ILogger log, string server, long count);

    [LoggerMessage(50, LogLevel.Error, "{Server}: {Count} more errors of handlers were counted and not logged: there were over {Most} in a second.")]
    internal static partial void HandlerErrorsLeftOut(this ILogger log, string server, long count, int most);

    [LoggerMessage(
        52, LogLevel.Warning, "{Server}: {Count} more connections went over a limit, which was not logged: there were over {Most} in a second.")]
    internal static partial void LimitsLeftOut(this ILogger log, string server, long count, int most);

    [LoggerMessage(51, LogLevel.Warning, "{Server}: workers were held up {Count} more times, which was not logged: there were over {Most} in a second.")]
    internal static partial void StallsLeftOut(this ILogger log, string server, long count, int most);
}
