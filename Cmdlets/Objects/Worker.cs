namespace C10kServer;

/// <summary>A worker thread of a server, as it was when it was asked for.</summary>
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

    // Not public: a worker that is exported would take its whole server along.
    internal Server Server { get; }

    /// <summary>The worker's number in its server, from 0.</summary>
    public int Id { get; }

    /// <summary>The Id of the worker's server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the worker's server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The kernel's number of the thread, the one that top -H shows.</summary>
    public int ThreadId { get; }

    /// <summary>What the thread is doing.</summary>
    public WorkerState State { get; }

    /// <summary>The connections that the worker owns.</summary>
    public int ConnectionCount { get; }

    /// <summary>How often the loop was woken.</summary>
    public long Wakeups { get; }

    /// <summary>The events that it was woken for.</summary>
    public long Events { get; }

    /// <summary>The events for each wake-up: the higher, the busier.</summary>
    public double EventsPerWakeup => Wakeups == 0 ? 0 : Math.Round((double)Events / Wakeups, 2);

    /// <summary>The processor time that the thread has used.</summary>
    public TimeSpan CpuTime { get; }

    /// <summary>The share of a processor that the thread used since the last look, or since the start for the first one.</summary>
    public double BusyPercent { get; }

    /// <summary>The commands that wait for the worker.</summary>
    public int QueueLength { get; }

    /// <summary>The turns of the loop that took more than 100 ms.</summary>
    public long Stalls { get; }

    /// <summary>The worker in short.</summary>
    /// <returns>For instance "C10k1 worker 3".</returns>
    public override string ToString() => $"{ServerName} worker {Id}";
}
