namespace C10kServer.Engine;

/// <summary>What a worker does.</summary>
public enum WorkerState
{
    /// <summary>Its loop turns.</summary>
    Running,

    /// <summary>A handler has been holding its loop up for over 100 ms.</summary>
    Stalled,

    /// <summary>Its thread is over.</summary>
    Stopped,
}

/// <summary>A look at a worker.</summary>
/// <param name="Id">0 and up, in its server.</param>
/// <param name="ThreadId">The kernel's, as ps and top show it; 0 before it runs.</param>
/// <param name="State">What it does.</param>
/// <param name="ConnectionCount">Connections that it owns.</param>
/// <param name="Wakeups">Turns of its loop.</param>
/// <param name="Events">Events that epoll gave it.</param>
/// <param name="CpuTime">CPU time of its thread; zero when that is over.</param>
/// <param name="QueueLength">Commands that wait in its mailbox.</param>
/// <param name="Stalls">Turns that took over 100 ms.</param>
public sealed record WorkerInfo(
    int Id,
    int ThreadId,
    WorkerState State,
    int ConnectionCount,
    long Wakeups,
    long Events,
    TimeSpan CpuTime,
    int QueueLength,
    long Stalls);
