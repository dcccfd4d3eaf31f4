namespace C10kServer.Engine;

/// <summary>
/// Tells subscribers what happens to a server, on a thread of its own. The thread exists while there are subscribers and the server has not
/// ended. A slow subscriber delays itself and the other subscribers, and never a worker. An exception of a subscriber is logged and counted,
/// and the other subscribers are told all the same. Members may be called from any thread.
/// </summary>
internal sealed class SubscriberThread(Server server)
{
    private const int LogInterval = 1000;

    private readonly Lock _lock = new();
    private volatile Action<ServerEvent>[] _subscribers = [];

    // The observer of the thread that runs at present; null while no thread runs.
    private Observer? _observer;
    private EngineThread? _thread;

    // How many events the earlier observers lost.
    private long _lostBefore;
    private long _errors;

    /// <summary>How many exceptions subscribers threw.</summary>
    internal long Errors => Interlocked.Read(ref _errors);

    /// <summary>How many events no subscriber was told of, because too many were waiting.</summary>
    internal long Lost
    {
        get
        {
            lock (_lock)
            {
                return _lostBefore + (_observer?.Lost ?? 0);
            }
        }
    }

    /// <exception cref="EngineException">The process is not allowed to start another thread. The subscriber is not added.</exception>
    internal void Add(Action<ServerEvent> subscriber)
    {
        lock (_lock)
        {
            if (_observer is null)
            {
                BeginObserving();
            }

            _subscribers = [.. _subscribers, subscriber];
        }
    }

    /// <summary>
    /// Removes a subscriber; if it was added twice, its last entry. The subscriber may be told once more, of an event that is under way.
    /// </summary>
    internal void Remove(Action<ServerEvent> subscriber)
    {
        lock (_lock)
        {
            int place = Array.LastIndexOf(_subscribers, subscriber);
            if (place < 0)
            {
                return;
            }

            _subscribers = [.. _subscribers[..place], .. _subscribers[(place + 1)..]];
            if (_subscribers.Length == 0)
            {
                Leave();
            }
        }
    }

    /// <summary>
    /// Waits for the thread after the server's end. False when a subscriber holds the thread up; then the thread ends as soon as it can.
    /// </summary>
    internal bool Join(TimeSpan timeout)
    {
        EngineThread? thread;
        lock (_lock)
        {
            thread = _thread;
        }

        // A subscriber may stop the server, and would then wait for its own thread.
        return thread is null || thread.IsCurrent || thread.Join(timeout);
    }

    private void BeginObserving()
    {
        var observer = new Observer();
        if (!observer.Observe(server))
        {
            return;
        }

        var thread = new EngineThread($"c10k {server.Options.Name} events", () => Run(observer), e => OnFailure(observer, e));
        try
        {
            thread.Start();
        }
        catch
        {
            observer.Dispose();
            throw;
        }

        (_observer, _thread) = (observer, thread);
    }

    // The thread failed, for instance because memory ran out. Subscribers are told of no further events, and the server goes on.
    private void OnFailure(Observer observer, Exception exception)
    {
        lock (_lock)
        {
            if (_observer == observer)
            {
                Leave();
            }
        }

        server.OnSubscribersBehind(exception, 1, 0);
    }

    private void Leave()
    {
        _lostBefore += _observer?.Lost ?? 0;
        _observer?.Dispose();
        _observer = null;
    }

    private void Run(Observer observer)
    {
        long nextLogAt = 0;
        long errors = 0;
        long lost = 0;
        while (observer.TryTake(Timeout.InfiniteTimeSpan, CancellationToken.None, out ServerEvent? happened) && happened.Kind != ServerEventKind.Ended)
        {
            Exception? failure = null;
            foreach (Action<ServerEvent> subscriber in _subscribers)
            {
                try
                {
                    subscriber(happened);
                }
                catch (Exception e)
                {
                    // An exception that leaves this thread would end the shell, because no code catches it (pitfalls 44 and 45).
                    Interlocked.Increment(ref _errors);
                    errors++;
                    failure = e;
                }
            }

            // Logged once a second at most, because every event may cause the same exception.
            if ((failure is not null || observer.Lost > lost) && Clock.Now >= nextLogAt)
            {
                nextLogAt = Clock.Now + LogInterval;
                server.OnSubscribersBehind(failure, errors, observer.Lost - lost);
                errors = 0;
                lost = observer.Lost;
            }
        }

        lock (_lock)
        {
            if (_observer == observer)
            {
                Leave();
            }
        }
    }
}
