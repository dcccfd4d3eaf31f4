namespace C10kServer.Engine;

/// <summary>
/// The workers of a server. The pool makes them, deals to them, changes their number, and adds up what they have counted. Dealing and
/// asking may be done from any thread. Making, resizing and stopping is for the server, under its lifecycle lock.
/// </summary>
internal sealed class WorkerPool
{
    private readonly Server _server;

    // The array is replaced as a whole, so that a thread that deals sees the old workers or the new ones.
    private volatile Worker[] _workers = [];

    // The workers that a resize has sent away and that had not ended then, because a handler held them up.
    private volatile Worker[] _leaving = [];

    // The tally is replaced as a whole, so that a reader that adds up finds each worker once, among the running ones or in the sum of the
    // ended ones.
    private volatile Tally _tally = new(new Counters(), []);

    private uint _next;
    private long _movesBegun;
    private long _movesEnded;

    internal WorkerPool(Server server) => _server = server;

    /// <summary>The workers that connections are dealt to. A worker's id is its index.</summary>
    internal IReadOnlyList<Worker> Current => _workers;

    /// <summary>
    /// The workers of <see cref="Current"/>, and behind them the workers that are leaving. A leaving worker is held up by a handler and
    /// still has connections. May be read from any thread. A leaving worker may have the id of a worker that came after it.
    /// </summary>
    internal IReadOnlyList<Worker> All
    {
        get
        {
            // In this order, because a worker that is sent away in between is then seen twice rather than not at all.
            Worker[] workers = _workers;
            return [.. workers, .. _leaving.Except(workers).Where(static worker => worker.IsAlive)];
        }
    }

    internal int Count => _workers.Length;

    /// <summary>Whether no worker has anything left to accept, including the workers that are leaving. May be read from any thread.</summary>
    internal bool AreDrained => _workers.Concat(_leaving).All(static worker => worker.Acceptor.IsDrained);

    /// <summary>Called by a start. Makes the workers, which are still to be started. All or nothing.</summary>
    /// <exception cref="EngineException">Descriptors are used up.</exception>
    internal void Make(int count) => Publish(MakeUpTo(count));

    /// <summary>Called for a running server. Makes and starts workers up to a number. All or nothing.</summary>
    /// <exception cref="EngineException">Descriptors are used up.</exception>
    /// <exception cref="EngineException">The process may not have another thread.</exception>
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

    // Called before the threads of the new workers have their first turn, so that everything they count is in the sums.
    private void Publish(Worker[] workers)
    {
        FoldEnded();
        _tally = _tally with { Running = [.. _tally.Running, .. workers.Skip(_workers.Length).Select(static worker => worker.Counters)] };
        _workers = workers;
    }

    // The workers were made, some of them were started, and none has had a turn.
    private static void End(Worker[] workers)
    {
        foreach (Worker worker in workers)
        {
            worker.Join(Timeout.InfiniteTimeSpan);
            worker.Dispose();
        }
    }

    /// <summary>
    /// Sends workers away until <paramref name="count"/> are left. Their connections go to the other workers. Returns true when all of
    /// them had ended in time.
    /// </summary>
    internal bool Shrink(int count, TimeSpan timeout)
    {
        Worker[] leaving = _workers[count..];

        // In this order, so that a fault that comes in between tells all workers.
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

    /// <summary>Starts the threads, which then wait at the gate.</summary>
    /// <exception cref="EngineException">The process may not have another thread. The start must be called off.</exception>
    internal void Start(StartGate gate) => Array.ForEach(_workers, worker => worker.Start(gate));

    /// <summary>Called after the gate was called off. The threads that were started end, and nothing is left of the workers.</summary>
    internal void CallOff()
    {
        End(_workers);
        _workers = [];
        _tally = new Tally(new Counters(), []);
    }

    /// <summary>Gives a command to all workers, and waits for nothing.</summary>
    internal void Post(in Command command)
    {
        foreach (Worker worker in _workers.Concat(_leaving))
        {
            worker.Post(command);
        }
    }

    /// <summary>Called after the workers were told to stop. Returns the workers that have not ended in time.</summary>
    internal IReadOnlyList<Worker> Join(long deadline) => [.. _workers.Concat(_leaving).Where(worker => !worker.Join(Remaining(deadline)))];

    /// <summary>Refuses a caller on a worker's thread. For methods that wait for an answer of the workers.</summary>
    /// <exception cref="InvalidOperationException">The calling thread is a worker's, which would wait for itself.</exception>
    internal void RefuseOwnThread()
    {
        if (IsCurrentThread())
        {
            throw new InvalidOperationException(
                "A worker's thread cannot ask the workers of its own server, because it would wait for itself. Ask from another thread.");
        }
    }

    /// <summary>Whether the calling thread is a worker's.</summary>
    internal bool IsCurrentThread() => _workers.Concat(_leaving).Any(static worker => worker.IsCurrent);

    /// <summary>The worker that the next connection goes to; null when there is none.</summary>
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

        // The counter is unsigned, because a signed counter overflows into a negative index (pitfall 24).
        return workers[(int)((Interlocked.Increment(ref _next) - 1) % (uint)workers.Length)];
    }

    /// <summary>Gives a command to the worker that is next now. Returns false when no worker takes it.</summary>
    internal bool Redeal(in Command command, Worker except)
    {
        if (Next() is not { } worker || worker == except)
        {
            return false;
        }

        // A transferred connection must know its owner before the owner's thread touches it.
        (command.Subject as ConnectionTransfer)?.Connection.Assign(worker);
        if (worker.Post(command))
        {
            return true;
        }

        (command.Subject as ConnectionTransfer)?.Connection.Assign(except);
        return false;
    }

    /// <summary>Adds up what the workers have counted, including the workers that have ended. May be called from any thread.</summary>
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

    /// <summary>From this call until <see cref="OnMoveEnded"/>, a connection is in no table.</summary>
    internal void OnMoveBegun() => Interlocked.Increment(ref _movesBegun);

    internal void OnMoveEnded() => Interlocked.Increment(ref _movesEnded);

    /// <summary>How many connections have gone from one worker to another so far.</summary>
    internal long Moves => Interlocked.Read(ref _movesEnded);

    /// <summary>Whether each connection has stayed with one worker since <see cref="Moves"/> was read.</summary>
    internal bool IsUnmovedSince(long moves) => Interlocked.Read(ref _movesBegun) == moves && Moves == moves;

    /// <summary>Has a connection's worker do something with the connection. Returns null when there is no such connection any more.</summary>
    /// <exception cref="TimeoutException">The connection's worker did not answer.</exception>
    /// <exception cref="InvalidOperationException">The calling thread is a worker's, which would wait for itself.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    internal ConnectionInfo? Ask(
        ConnectionRef target, ConnectionAction action, Worker? moveTo, SendCommand? send, TimeSpan timeout, CancellationToken cancel)
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
                // The connection is not where it was last seen, so all other workers are asked at once.
                ConnectionRequest?[] requests = [.. workers.Where(worker => worker != likely).Select(Send)];
                foreach (ConnectionRequest? request in requests)
                {
                    row ??= request?.Wait(Remaining(deadline), cancel);
                }
            }

            // While connections are on their way between workers, every worker can truly say that it does not have the connection.
            if (row is not null || IsUnmovedSince(moves) || Clock.Now > deadline)
            {
                return row;
            }

            Thread.Yield();
        }

        ConnectionRequest? Send(Worker worker)
        {
            var request = new ConnectionRequest(target, action, moveTo, send);
            return worker.Post(new Command(CommandKind.Act, Subject: request)) ? request : null;
        }
    }

    // Forgets the workers that have left since the last resize, and adds what they have counted to the sum, because their number has no
    // bound.
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
    /// <param name="Running">The counters of the other workers, each written by its worker.</param>
    private sealed record Tally(Counters Ended, Counters[] Running);
}
