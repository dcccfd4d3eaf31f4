namespace C10kServer.Engine;

/// <summary>
/// Tells subscribers what happens to a server, on a thread of its own, which there is while there are subscribers and the server is not over.
/// One that is slow costs itself and the other subscribers time, and never a worker; what throws is logged and counted, and the
/// others are told all the same. From any thread.
/// </summary>
internal sealed class SubscriberThread(Server server)
{
    private const int LogInterval = 1000;

    private readonly Lock _lock = new();
    private volatile Action<ServerEvent>[] _subscribers = [];

    // Of the thread that runs at present; null where none does.
    private Observer? _observer;
    private EngineThread? _thread;

    // By those that came before it.
    private long _lostBefore;
    private long _errors;

    /// <summary>Exceptions that subscribers threw.</summary>
    internal long Errors => Interlocked.Read(ref _errors);

    /// <summary>Events that nobody was told of, as too many waited.</summary>
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

    /// <exception cref="EngineException">The process may have no further thread. The subscriber is not added.</exception>
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

    /// <summary>The last one that was added, where one was added twice. It may be told once more, of what is just under way.</summary>
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

    /// <summary>After the server's end. False when a subscriber holds the thread up: it ends as soon as it can.</summary>
    internal bool Join(TimeSpan timeout)
    {
        EngineThread? thread;
        lock (_lock)
        {
            thread = _thread;
        }

        // A subscriber may stop the server, and would wait for itself.
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

    // Out of memory, say. Subscribers are told of nothing more, and the server goes on.
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
                    // Nobody catches what leaves this thread: it would end the shell (pitfalls 44 and 45).
                    Interlocked.Increment(ref _errors);
                    errors++;
                    failure = e;
                }
            }

            // Bounded, as with every event it may be the same.
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
