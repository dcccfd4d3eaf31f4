namespace C10kServer.Engine;

/// <summary>Asks a worker to close a connection and waits for its answer. Made anew for each worker that is asked.</summary>
internal sealed class CloseRequest(ConnectionRef target, bool reset)
{
    private readonly TaskCompletionSource<ConnectionInfo?> _answer = new();

    internal ConnectionRef Target { get; } = target;

    internal bool Reset { get; } = reset;

    /// <summary>From the worker's thread: the row after closing has begun, or null for no such connection.</summary>
    internal void Answer(ConnectionInfo? row) => _answer.SetResult(row);

    /// <exception cref="TimeoutException">The worker did not answer: a handler blocks it. The close is still under way.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal ConnectionInfo? Wait(TimeSpan timeout, CancellationToken cancel) =>
        _answer.Task.Wait((int)timeout.TotalMilliseconds, cancel)
            ? _answer.Task.Result
            : throw new TimeoutException($"The worker of connection {Target.Id} did not answer within {timeout.TotalSeconds} s: a handler blocks it.");
}
