namespace C10kServer.Engine;

/// <summary>
/// The gate at which the threads of a start, or of a resize, wait until all of them are there. If a start fails half way, it has therefore
/// touched no connection, and the threads that did start end at once. May be used from any thread.
/// </summary>
internal sealed class StartGate
{
    private readonly TaskCompletionSource<bool> _opened = new();

    /// <summary>Lets the threads begin.</summary>
    internal void Open() => _opened.TrySetResult(true);

    /// <summary>Lets the threads end. Does nothing after <see cref="Open"/>.</summary>
    internal void CallOff() => _opened.TrySetResult(false);

    /// <summary>Called on a thread that was started. Waits for the others. Returns false when the start was called off.</summary>
    internal bool Wait() => _opened.Task.GetAwaiter().GetResult();
}
