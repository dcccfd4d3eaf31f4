namespace C10kServer.Engine;

/// <summary>
/// The workers of a server: makes them, deals to them, changes their number, and adds up what they have counted. Dealing and asking
/// may be done from any thread; making, resizing and stopping is for the server, under its lifecycle lock.
/// </summary>
internal sealed class WorkerPool
{
    private readonly Server _server;

    // Replaced as a whole: whoever deals sees the old ones or the new ones.
    private volatile Worker[] _workers = [];

    // Those that a resize has sent away and that had not ended then: a handler held them up.
    private volatile Worker[] _leaving = [];

    // Replaced as a whole: a reader that adds up finds each worker once, among those that run or in the sum of those that have ended.
    private volatile Tally _tally = new(new Counters(), []);

    private uint _next;
    private long _movesBegun;
    private long _movesEnded;

    internal WorkerPool(Server server) => _server = server;

    /// <summary>Those that connections are dealt to. A worker's id is its place.</summary>
    internal IReadOnlyList<Worker> Current => _workers;

    /// <summary>
    /// Those, and behind them those that are leaving: a handler holds them up, and they still have connections. From any thread. A worker that
    /// leaves may have the id of one that came after it.
    /// </summary>
    internal IReadOnlyList<Worker> All
    {
        get
        {
            // In this order: one that is sent away in between is seen twice rather than not at all.
            Worker[] workers = _workers;
            return [.. workers, .. _leaving.Except(workers).Where(static worker => worker.IsAlive)];
        }
    }

    internal int Count => _workers.Length;

    /// <summary>From any thread: no worker has anything left to accept, also none that is leaving.</summary>
    internal bool AreDrained => _workers.Concat(_leaving).All(static worker => worker.Acceptor.IsDrained);

    /// <summary>For a start: makes the workers, which are still to be started. All or nothing.</summary>
    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal void Make(int count) => Publish(MakeUpTo(count));

    /// <summary>For a server that runs: makes and starts workers up to a number. All or nothing.</summary>
    /// <exception cref="EngineException">Descriptors are used up.</exception>
    /// <exception cref="EngineException">The process may have no further thread.</exception>
    internal void Grow(int count)
    {
        var gate = new StartGate();
        Worker[] workers = MakeUpTo(count);
        Worker[] made = workers[_workers.Length..];
        try
        {
            Array.ForEach(made, worker => worker.Start(gate));
        }
        catch
        {
            gate.CallOff();
            End(made);
            throw;
        }

        Publish(workers);
        gate.Open();
    }

    private Worker[] MakeUpTo(int count)
    {
        List<Worker> workers = [.. _workers];
        int before = workers.Count;
        try
        {
            while (workers.Count < count)
            {
                workers.Add(new Worker(_server, workers.Count));
                _server.GiveSockets(workers[^1]);
            }
        }
        catch
        {
            workers.Skip(before).ToList().ForEach(static worker => worker.Dispose());
            throw;
        }

        return [.. workers];
    }

    // Before a thread of theirs has its first turn: what they count is counted.
    private void Publish(Worker[] workers)
    {
        FoldEnded();
        _tally = _tally with { Running = [.. _tally.Running, .. workers.Skip(_workers.Length).Select(static worker => worker.Counters)] };
        _workers = workers;
    }

    // They were made, some of them were started, and none has had a turn.
    private static void End(Worker[] workers)
    {
        foreach (Worker worker in workers)
        {
            worker.Join(Timeout.InfiniteTimeSpan);
            worker.Dispose();
        }
    }

    /// <summary>Sends workers away down to a number; their connections go to the others. True when all had ended in time.</summary>
    internal bool Shrink(int count, TimeSpan timeout)
    {
        Worker[] leaving = _workers[count..];

        // In this order: a fault that comes in between tells all of them.
        _leaving = [.. _leaving, .. leaving];
        _workers = _workers[..count];
        foreach (Worker worker in leaving)
        {
            worker.Post(new Command(CommandKind.Retire));
        }

        long deadline = Clock.Now + (long)timeout.TotalMilliseconds;
        foreach (Worker worker in _leaving)
        {
            worker.Join(Remaining(deadline));
        }

        FoldEnded();
        return _leaving.Length == 0;
    }

    /// <summary>Starts the threads, which wait at the gate.</summary>
    /// <exception cref="EngineException">The process may have no further thread. The start is to be called off.</exception>
    internal void Start(StartGate gate) => Array.ForEach(_workers, worker => worker.Start(gate));

    /// <summary>After the gate was called off: the threads that were started end, and nothing is left of the workers.</summary>
    internal void CallOff()
    {
        End(_workers);
        _workers = [];
        _tally = new Tally(new Counters(), []);
    }

    /// <summary>Tells all to do something; nothing is waited for.</summary>
    internal void Post(in Command command)
    {
        foreach (Worker worker in _workers.Concat(_leaving))
        {
            worker.Post(command);
        }
    }

    /// <summary>After they were told to stop. Returns those that have not ended in time.</summary>
    internal IReadOnlyList<Worker> Join(long deadline) => [.. _workers.Concat(_leaving).Where(worker => !worker.Join(Remaining(deadline)))];

    /// <summary>For a caller that is about to wait for an answer of the workers.</summary>
    /// <exception cref="InvalidOperationException">The calling thread is one of theirs, which would wait for itself.</exception>
    internal void RefuseOwnThread()
    {
        if (IsCurrentThread())
        {
            throw new InvalidOperationException(
                "A worker's thread cannot ask the workers of its own server, because it would wait for itself. Ask from another thread.");
        }
    }

    /// <summary>Whether the calling thread is one of theirs.</summary>
    internal bool IsCurrentThread() => _workers.Concat(_leaving).Any(static worker => worker.IsCurrent);

    /// <summary>Whom the next connection goes to; null when there is nobody.</summary>
    internal Worker? Next()
    {
        Worker[] workers = _workers;
        if (workers.Length == 0)
        {
            return null;
        }

        if (_server.Options.Dispatch == DispatchMode.LeastLoaded)
        {
            Worker least = workers[0];
            foreach (Worker worker in workers)
            {
                if (worker.Load < least.Load)
                {
                    least = worker;
                }
            }

            return least;
        }

        // Unsigned: a signed counter overflows into a negative index (pitfall 24).
        return workers[(int)((Interlocked.Increment(ref _next) - 1) % (uint)workers.Length)];
    }

    /// <summary>Gives a command to a worker, whoever that is now. False when none takes it.</summary>
    internal bool Redeal(in Command command, Worker except)
    {
        if (Next() is not { } worker || worker == except)
        {
            return false;
        }

        // A transfer has to know whose it is before that one's thread touches it.
        (command.Subject as ConnectionTransfer)?.Connection.Assign(worker);
        if (worker.Post(command))
        {
            return true;
        }

        (command.Subject as ConnectionTransfer)?.Connection.Assign(except);
        return false;
    }

    /// <summary>Adds up what the workers have counted, those included that have ended. From any thread.</summary>
    internal long Sum(Func<Counters, long> counter)
    {
        Tally tally = _tally;
        long sum = counter(tally.Ended);
        foreach (Counters counters in tally.Running)
        {
            sum += counter(counters);
        }

        return sum;
    }

    /// <summary>A connection is in no table from here until <see cref="OnMoveEnded"/>.</summary>
    internal void OnMoveBegun() => Interlocked.Increment(ref _movesBegun);

    internal void OnMoveEnded() => Interlocked.Increment(ref _movesEnded);

    /// <summary>Connections that have gone from one worker to another so far.</summary>
    internal long Moves => Interlocked.Read(ref _movesEnded);

    /// <summary>Whether each connection has been with one worker all the time since <see cref="Moves"/> was read.</summary>
    internal bool IsUnmovedSince(long moves) => Interlocked.Read(ref _movesBegun) == moves && Moves == moves;

    /// <summary>
    /// Has a connection's worker do something with it. Null: there is no such connection any more.
    /// </summary>
    /// <exception cref="TimeoutException">Its worker did not answer.</exception>
    /// <exception cref="InvalidOperationException">The calling thread is a worker's, which would wait for itself.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal ConnectionInfo? Ask(
        ConnectionRef target, ConnectionAction action, Worker? moveTo, SendCommand? parcel, TimeSpan timeout, CancellationToken cancel)
    {
        RefuseOwnThread();
        long deadline = Clock.Now + (long)timeout.TotalMilliseconds;
        while (true)
        {
            long moves = Moves;
            IReadOnlyList<Worker> workers = All;
            Worker? likely = (uint)target.Worker < (uint)workers.Count ? workers[target.Worker] : null;
            ConnectionInfo? row = likely is null ? null : Send(likely)?.Wait(Remaining(deadline), cancel);
            if (row is null)
            {
                // Nobody where it was last seen: all others are asked at once.
                ConnectionRequest?[] requests = [.. workers.Where(worker => worker != likely).Select(Send)];
                foreach (ConnectionRequest? request in requests)
                {
                    row ??= request?.Wait(Remaining(deadline), cancel);
                }
            }

            // While connections are on their way from worker to worker, all can truly say that they do not have it.
            if (row is not null || IsUnmovedSince(moves) || Clock.Now > deadline)
            {
                return row;
            }

            Thread.Yield();
        }

        ConnectionRequest? Send(Worker worker)
        {
            var request = new ConnectionRequest(target, action, moveTo, parcel);
            return worker.Post(new Command(CommandKind.Act, Subject: request)) ? request : null;
        }
    }

    // Forgets the workers that have left since the last resize, and adds what they have counted to the sum: their number has no bound.
    private void FoldEnded()
    {
        Worker[] ended = [.. _leaving.Where(static worker => worker.Join(TimeSpan.Zero))];
        if (ended.Length == 0)
        {
            return;
        }

        var sum = new Counters();
        sum.Add(_tally.Ended);
        Array.ForEach(ended, worker => sum.Add(worker.Counters));
        _leaving = [.. _leaving.Except(ended)];
        _tally = new Tally(sum, [.. _tally.Running.Except(ended.Select(static worker => worker.Counters))]);
    }

    private static TimeSpan Remaining(long deadline) => TimeSpan.FromMilliseconds(Math.Max(0, deadline - Clock.Now));

    /// <param name="Ended">The sum of the workers that have ended.</param>
    /// <param name="Running">Those of the others, each written by its worker.</param>
    private sealed record Tally(Counters Ended, Counters[] Running);
}
