namespace C10kServer.Engine;

/// <summary>What another thread can have done to one connection.</summary>
public enum ConnectionAction
{
    /// <summary>Nothing is done. The connection is only looked at.</summary>
    Look,

    /// <summary>The connection begins to close, see <see cref="Connection.Close"/>.</summary>
    Close,

    /// <summary>The connection is reset.</summary>
    Reset,

    /// <summary>Nothing more is received until reading is resumed.</summary>
    PauseReading,

    /// <summary>The connection is read again.</summary>
    ResumeReading,

    /// <summary>The connection migrates to another worker.</summary>
    Move,

    /// <summary>Bytes are sent on the connection, see <see cref="Server.TrySend"/>.</summary>
    Send,
}

/// <summary>Asks a worker to do something to a connection, and waits for the worker's answer. Each worker that is asked gets a new object.</summary>
internal sealed class ConnectionRequest(ConnectionRef target, ConnectionAction action, Worker? moveTo, SendCommand? send)
{
    private readonly TaskCompletionSource<ConnectionInfo?> _answer = new();

    internal ConnectionRef Target { get; } = target;

    internal ConnectionAction Action { get; } = action;

    /// <summary>For Move: the worker that takes the connection over.</summary>
    internal Worker? MoveTo { get; } = moveTo;

    /// <summary>For Send: the bytes.</summary>
    internal SendCommand? SendCommand { get; } = send;

    /// <summary>From the worker's thread: the connection's row after the action, or null if the worker has no such connection.</summary>
    internal void Answer(ConnectionInfo? row) => _answer.SetResult(row);

    /// <exception cref="TimeoutException">The worker did not answer, because a handler blocks it. The action is still under way.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal ConnectionInfo? Wait(TimeSpan timeout, CancellationToken cancel) =>
        _answer.Task.Wait((int)timeout.TotalMilliseconds, cancel)
            ? _answer.Task.Result
            : throw new TimeoutException($"The worker of connection {Target.Id} did not answer within {timeout.TotalSeconds} s: a handler blocks it.");
}
