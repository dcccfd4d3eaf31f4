namespace C10kServer.Engine;

/// <summary>
/// Where the threads of a start, or of a resize, wait until all of them are there: a start that fails half way has then touched no
/// connection, and the threads that did start end at once. From any thread.
/// </summary>
internal sealed class StartGate
{
    private readonly TaskCompletionSource<bool> _opened = new();

    /// <summary>Lets the threads begin.</summary>
    internal void Open() => _opened.TrySetResult(true);

    /// <summary>Lets the threads end. Nothing happens after <see cref="Open"/>.</summary>
    internal void CallOff() => _opened.TrySetResult(false);

    /// <summary>On a thread that was started: waits for the others. False when the start was called off.</summary>
    internal bool Wait() => _opened.Task.GetAwaiter().GetResult();
}
