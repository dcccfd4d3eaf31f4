namespace C10kServer;

/// <summary>A worker thread of a server, as it was when the object was made.</summary>
public sealed class Worker
{
    internal Worker(Server server, Engine.WorkerInfo info, double busyPercent)
    {
        Server = server;
        Id = info.Id;
        ThreadId = info.ThreadId;
        State = (WorkerState)info.State;
        ConnectionCount = info.ConnectionCount;
        Wakeups = info.Wakeups;
        Events = info.Events;
        CpuTime = info.CpuTime;
        BusyPercent = busyPercent;
        QueueLength = info.QueueLength;
        Stalls = info.Stalls;
    }

    // This is not public, because an export of a worker would export its whole server, too.
    internal Server Server { get; }

    /// <summary>The worker's number in its server, from 0.</summary>
    public int Id { get; }

    /// <summary>The Id of the worker's server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the worker's server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The kernel's number of the thread, which top -H shows.</summary>
    public int ThreadId { get; }

    /// <summary>What the thread is doing.</summary>
    public WorkerState State { get; }

    /// <summary>The connections that the worker owns.</summary>
    public int ConnectionCount { get; }

    /// <summary>The number of times that the loop was woken.</summary>
    public long Wakeups { get; }

    /// <summary>The number of events that epoll gave to the loop.</summary>
    public long Events { get; }

    /// <summary>The average number of events per wake-up. A higher number means a busier worker.</summary>
    public double EventsPerWakeup => Wakeups == 0 ? 0 : Math.Round((double)Events / Wakeups, 2);

    /// <summary>The processor time that the thread has used.</summary>
    public TimeSpan CpuTime { get; }

    /// <summary>The percentage of a processor that the thread used since the last look, or since the start for the first look.</summary>
    public double BusyPercent { get; }

    /// <summary>The number of commands that wait for the worker.</summary>
    public int QueueLength { get; }

    /// <summary>The number of turns of the loop that took more than 100 ms.</summary>
    public long Stalls { get; }

    /// <summary>A short text for the worker.</summary>
    /// <returns>For instance "C10k1 worker 3".</returns>
    public override string ToString() => $"{ServerName} worker {Id}";
}
