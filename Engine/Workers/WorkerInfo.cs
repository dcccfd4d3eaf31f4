namespace C10kServer.Engine;

/// <summary>The state of a worker.</summary>
public enum WorkerState
{
    /// <summary>Its loop runs.</summary>
    Running,

    /// <summary>A handler has been holding its loop up for over 100 ms.</summary>
    Stalled,

    /// <summary>Its thread has ended.</summary>
    Stopped,
}

/// <summary>A snapshot of a worker.</summary>
/// <param name="Id">The worker's number in its server, from 0 up.</param>
/// <param name="ThreadId">The kernel's id of the thread, as ps and top show it; 0 before the thread runs.</param>
/// <param name="State">The worker's state.</param>
/// <param name="ConnectionCount">Connections that the worker owns.</param>
/// <param name="Wakeups">Turns of the worker's loop.</param>
/// <param name="Events">Events that epoll gave the worker.</param>
/// <param name="CpuTime">CPU time of the worker's thread; zero when the thread has ended.</param>
/// <param name="QueueLength">Commands that wait in the worker's mailbox.</param>
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
