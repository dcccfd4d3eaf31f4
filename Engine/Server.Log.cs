using System.Globalization;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// What is reported of a server: its log, its last error, and how much of a flood of errors is logged.
public sealed partial class Server
{
    /// <summary>The last failure, of a handler or of the server itself.</summary>
    public string? LastError => _lastError;

    /// <summary>Events below this level are not logged. The level may be changed at any time.</summary>
    public EventLevel LogLevel
    {
        get => Log.MinimumLevel;
        set => Log.MinimumLevel = value;
    }

    /// <summary>Whether the server was stopped and its last event is in the log.</summary>
    public bool HasEnded => _ended;

    internal EventLog Log => Options.Log;

    /// <summary>Adds an entry to the server's log, for what runs beside the engine.</summary>
    public void Report(EventLevel level, string message) => Log.Reported((Microsoft.Extensions.Logging.LogLevel)level, Options.Name, message);

    /// <summary>Called on a worker's thread, or on a handler thread.</summary>
    internal void OnHandlerError(Connection connection, Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Error, _handlerErrors))
        {
            Log.HandlerFailed(Options.Name, connection.Id, exception);
        }
    }

    /// <summary>Called on a handler thread.</summary>
    internal void OnHandlerErrorReported(Connection connection, Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Warning, _handlerErrors))
        {
            Log.HandlerErrorReported(Options.Name, connection.Id, exception);
        }
    }

    /// <summary>Called on the thread that watches over handler threads.</summary>
    internal void OnHandlerTimeout(Connection connection, TimeSpan after)
    {
        _lastError = string.Create(CultureInfo.InvariantCulture, $"the handler of connection {connection.Id} took longer than {after.TotalSeconds} s");
        if (MayLog(EventLevel.Warning, _handlerErrors))
        {
            Log.HandlerTimedOut(Options.Name, connection.Id, after.TotalSeconds);
        }
    }

    /// <summary>Called on a worker's thread.</summary>
    internal void OnHandlerFactoryError(Exception exception)
    {
        _lastError = ExceptionText.Message(exception);
        if (MayLog(EventLevel.Error, _handlerErrors))
        {
            Log.HandlerFactoryFailed(Options.Name, exception);
        }
    }

    /// <summary>Called on a worker's thread.</summary>
    internal void OnAdoptError(int errno, long count)
    {
        _lastError = Errno.Describe(errno);
        Log.AdoptFailed(Options.Name, _lastError, count);
    }

    /// <summary>Called on the thread that tells the subscribers, once a second at most.</summary>
    internal void OnSubscribersBehind(Exception? failure, long failures, long lost)
    {
        if (failure is not null)
        {
            _lastError = ExceptionText.Message(failure);
            Log.SubscriberFailed(Options.Name, failures, failure);
        }

        if (lost > 0)
        {
            Log.EventsLost(Options.Name, lost);
        }
    }

    /// <summary>
    /// Called on a worker's thread when a connection is closed because a message is too long. This is not an error of a handler, so
    /// HandlerErrors does not count it.
    /// </summary>
    internal void OnMessageTooLong(Connection connection, long most, bool byHandler)
    {
        string setter = byHandler ? "The handler's ReadUntil" : "-MaxMessage";
        _lastError = string.Create(
            CultureInfo.InvariantCulture, $"connection {connection.Id} sent a message of more than {most} bytes, which {setter} sets as the limit");
        if (MayLog(EventLevel.Warning, _limits))
        {
            Log.MessageTooLong(Options.Name, connection.Id, most, setter);
        }
    }

    /// <summary>Called on a worker's thread when a connection is reset because its handler queued too much for a peer that does not read.</summary>
    internal void OnSendQueueFull(Connection connection, long most)
    {
        _lastError = string.Create(
            CultureInfo.InvariantCulture,
            $"the handler of connection {connection.Id} queued more than {most} bytes, which -MaxSendQueue sets as the limit");
        if (MayLog(EventLevel.Warning, _limits))
        {
            Log.SendQueueFull(Options.Name, connection.Id, most);
        }
    }

    /// <summary>Called on a worker's thread, once a second at most.</summary>
    internal void OnMemoryExhausted(int worker, long count)
    {
        _lastError = "memory ran out";
        Log.MemoryExhausted(Options.Name, worker, count);
    }

    /// <summary>Called on a worker's thread, once a second at most.</summary>
    internal void OnInputBudgetExceeded(int worker, int closed, long limit) => Log.InputBudgetExceeded(Options.Name, worker, closed, limit);

    /// <summary>Called on a worker's thread at the thread's end.</summary>
    internal void OnClosedByForce(int worker, int count)
    {
        _lastError = $"worker {worker} closed {count} connections by force at its end, because their callbacks did not end";
        Report(EventLevel.Error, $"{Options.Name}: {_lastError}.");
    }

    /// <summary>Called on a worker's thread, after the turn that was held up.</summary>
    internal void OnStall(int worker, long milliseconds)
    {
        if (MayLog(EventLevel.Warning, _stalls))
        {
            Log.WorkerStalled(Options.Name, worker, milliseconds);
        }
    }

    /// <summary>
    /// Logs how many events the throttles have left out. Called on the AcceptLoop's thread once a second, at the server's end, and on any
    /// thread that logs the next event. Each number is therefore logged, and stands before what came after it.
    /// </summary>
    internal void LogLeftOut()
    {
        if (_handlerErrors.TakeLeftOut() is > 0 and var errors)
        {
            Log.HandlerErrorsLeftOut(Options.Name, errors, LogThrottle.Most);
        }

        if (_stalls.TakeLeftOut() is > 0 and var stalls)
        {
            Log.StallsLeftOut(Options.Name, stalls, LogThrottle.Most);
        }

        if (_limits.TakeLeftOut() is > 0 and var limits)
        {
            Log.LimitsLeftOut(Options.Name, limits, LogThrottle.Most);
        }
    }

    private bool MayLog(EventLevel level, LogThrottle throttle)
    {
        if (level < LogLevel || !throttle.TryPass(Clock.Now))
        {
            return false;
        }

        LogLeftOut();
        return true;
    }

    private void OpenLog()
    {
        if (Options.LogPath is { } path)
        {
            try
            {
                _logFile = new LogFile(path, Options.Name, error => _lastError = error);
            }
            catch (EngineException e)
            {
                throw ServerStartException.ForLog(path, e.Errno);
            }

            _logFile.Start();
            Log.SetFile(_logFile);
        }
    }

    private void LogEnd()
    {
        LogLeftOut();
        Log.ServerStopped(Options.Name, Accepted, BytesReceived, BytesSent);
        CloseLog();

        // In this order, because a reader that sees that the server has ended must already have the server's last event.
        _ended = true;
        Log.Wake();
    }

    private void CloseLog()
    {
        Log.SetFile(null);
        _logFile?.End();
        _logFile = null;
    }

    private void LogStart()
    {
        int somaxconn = int.MaxValue;
        try
        {
            somaxconn = int.Parse(File.ReadAllText("/proc/sys/net/core/somaxconn"), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No descriptor was left for the file, or a sandbox forbids it. The server runs by now, and the value is for the log alone.
        }

        EffectiveBacklog = Math.Min(Options.Backlog, somaxconn);
        if (EffectiveBacklog < Options.Backlog)
        {
            Log.BacklogCut(Options.Name, Options.Backlog, somaxconn);
        }

        Log.ServerStarted(Options.Name, string.Join(", ", EndPoints), Options.WorkerCount, ConnectionLimit, EffectiveBacklog);
    }
}
