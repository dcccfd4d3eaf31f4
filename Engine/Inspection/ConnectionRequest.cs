namespace C10kServer.Engine;

/// <summary>What can be done with one connection from outside.</summary>
public enum ConnectionAction
{
    /// <summary>Nothing: it is looked at.</summary>
    Look,

    /// <summary>Closing begins, see <see cref="Connection.Close"/>.</summary>
    Close,

    /// <summary>It is reset.</summary>
    Reset,

    /// <summary>Nothing more is received, until it is resumed.</summary>
    PauseReading,

    /// <summary>It is received from again.</summary>
    ResumeReading,

    /// <summary>Another worker takes it over.</summary>
    Move,

    /// <summary>Bytes are sent, see <see cref="Server.TrySend"/>.</summary>
    Send,
}

/// <summary>Asks a worker to do something with a connection, and waits for its answer. Made anew for each worker that is asked.</summary>
internal sealed class ConnectionRequest(ConnectionRef target, ConnectionAction action, Worker? moveTo, SendCommand? parcel)
{
    private readonly TaskCompletionSource<ConnectionInfo?> _answer = new();

    internal ConnectionRef Target { get; } = target;

    internal ConnectionAction Action { get; } = action;

    /// <summary>Move: to whom.</summary>
    internal Worker? MoveTo { get; } = moveTo;

    /// <summary>Send: what.</summary>
    internal SendCommand? SendCommand { get; } = parcel;

    /// <summary>From the worker's thread: the row after it was done, or null for no such connection.</summary>
    internal void Answer(ConnectionInfo? row) => _answer.SetResult(row);

    /// <exception cref="TimeoutException">The worker did not answer: a handler blocks it. What was asked for is still under way.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal ConnectionInfo? Wait(TimeSpan timeout, CancellationToken cancel) =>
        _answer.Task.Wait((int)timeout.TotalMilliseconds, cancel)
            ? _answer.Task.Result
            : throw new TimeoutException($"The worker of connection {Target.Id} did not answer within {timeout.TotalSeconds} s: a handler blocks it.");
}
