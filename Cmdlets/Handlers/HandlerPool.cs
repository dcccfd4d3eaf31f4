using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// The handler threads of a server, and the thread that watches them. The watching thread stops a handler that exceeds its time limit. It
/// abandons and replaces a thread that does not come back from such a stop.
/// </summary>
internal sealed class HandlerPool
{
    // Stopping a script takes some 10 ms. A handler that takes longer than this to stop is blocked in a call into .NET.
    private static readonly TimeSpan StopGrace = TimeSpan.FromMilliseconds(500);

    // How long handlers have for their last messages and OnClose when the server stops. After that they are stopped, within StopPatience.
    // Both are short because Stop-C10kServer must return within two seconds, whatever the handlers do.
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(400);

    private static readonly TimeSpan StopPatience = TimeSpan.FromMilliseconds(500);

    // How long a start that is cancelled waits for its threads to stop, because Ctrl+C must be answered within half a second.
    private static readonly TimeSpan StartPatience = TimeSpan.FromMilliseconds(250);

    private static readonly TimeSpan OneLook = TimeSpan.FromMilliseconds(20);

    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(1);

    // A look that is late by more than this was held up, and so were the handlers. A shorter delay is normal scheduling.
    private static readonly TimeSpan Standstill = TimeSpan.FromMilliseconds(50);

    // Each abandoned thread costs a thread and a runspace for as long as its call blocks.
    private const int MostAbandoned = 32;

    private readonly HandlerCode _code;

    // Guards the fields below. The watching thread sleeps on it.
    private readonly object _gate = new();
    private readonly List<HandlerThread> _threads = [];
    private readonly List<HandlerThread> _abandoned = [];
    private Engine.EngineThread? _watch;
    private int _number;
    private bool _stopping;

    internal HandlerPool(Server server, HandlerCode code)
    {
        Server = server;
        _code = code;
        Scheduler = new Engine.SessionScheduler(MessageDecoding.For(code), code.OnConnect is not null, code.OnClose is not null);
    }

    internal Engine.SessionScheduler Scheduler { get; }

    /// <summary>What handlers see as <c>$Server</c>.</summary>
    internal Server Server { get; }

    /// <summary>Makes the runspaces, all at the same time. They wait for messages when this method returns.</summary>
    /// <exception cref="HandlerScriptException">A runspace could not be made, for instance because a module cannot be imported. Nothing is
    /// left over.</exception>
    /// <exception cref="Engine.ServerStartException">The process may not start another thread. Nothing is left over.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left over.</exception>
    internal void Start(CancellationToken cancel)
    {
        try
        {
            lock (_gate)
            {
                while (_threads.Count < _code.ThreadCount)
                {
                    Add();
                }
            }

            Task.WaitAll([.. _threads.Select(static thread => thread.Ready)], cancel);
            Engine.EngineThread watch = new($"c10k {Server.Name} watch", Watch, OnThreadFailed);
            watch.Start();
            _watch = watch;
        }
        catch (AggregateException e)
        {
            Stop();
            throw Failure(e.InnerExceptions[0]);
        }
        catch (Engine.EngineException e)
        {
            Stop();
            throw Engine.ServerStartException.For(e);
        }
        catch
        {
            Stop();
            throw;
        }
    }

    /// <summary>
    /// Called after the server has ended. The handlers have a moment to finish their messages, and are stopped then. The method returns
    /// within a second and a half, and abandons a handler that cannot be stopped. A handler may call it: that handler's thread then ends
    /// after its message.
    /// </summary>
    internal void Stop()
    {
        HandlerThread[] left;
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
            left = [.. _threads];
        }

        Scheduler.Complete();
        bool serves = _watch is not null;
        if (serves)
        {
            left = JoinAll(left, LastWords);
        }

        if (left.Length > 0)
        {
            Scheduler.Clear();
            foreach (HandlerThread thread in left.Where(static thread => !thread.TryEnd()))
            {
                Begin(thread.StopLoading);
            }

            // The loop repeats the look, because a single look may fall between two messages and find nothing to interrupt.
            long deadline = Stopwatch.GetTimestamp() + Ticks(serves ? StopPatience : StartPatience);
            do
            {
                foreach (HandlerThread thread in left)
                {
                    if (thread.Look() is > 0 and long sequence && thread.TryInterrupt(sequence, out _))
                    {
                        Begin(thread.StopPipeline);
                    }
                }

                left = JoinAll(left, OneLook);
            }
            while (left.Length > 0 && Stopwatch.GetTimestamp() < deadline);

            HandlerThread[] stuck = [.. left.Where(thread => thread.TryAbandon() || !serves)];
            foreach (HandlerThread thread in stuck)
            {
                Begin(thread.CloseRunspace);
                Server.Report(Engine.EventLevel.Warning, "A call into .NET blocks a handler's thread, which was left to itself.");
            }

            // A shell that ends stops its servers first, and looks for open runspaces next.
            SpinWait.SpinUntil(() => !stuck.Any(static thread => thread.IsRunspaceOpen), StartPatience);
        }

        if (_watch is { IsCurrent: false })
        {
            _watch.Join(Timeout.InfiniteTimeSpan);
        }
    }

    internal LiveConnection ConnectionOf(Engine.Session session) => (LiveConnection)(session.Owner ??= new LiveConnection(session, this));

    /// <summary>An encoder that belongs to the calling thread. That thread may be a handler thread of another server.</summary>
    internal HandlerOutput OutputOfThisThread() =>
        HandlerThread.Current is { } thread && thread.IsOf(this) ? thread.SendOutput : new HandlerOutput(_code.Framing, _code.Encoding);

    internal System.Text.Encoding Encoding => _code.Encoding;

    /// <summary>Called from a handler thread that ends unexpectedly. The watching thread replaces it.</summary>
    internal void OnThreadFailed(Exception exception) =>
        Server.Report(Engine.EventLevel.Error, $"A handler thread has failed and is replaced: {Engine.ExceptionText.Full(exception)}");

    /// <summary>Called when code outside of the pool closes a handler thread's runspace. Stops the server.</summary>
    internal void OnRunspaceClosing() => Begin(() => Server.Stop(reset: false));

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    private static HandlerScriptException Failure(Exception cause)
    {
        string message = HandlerErrorException.From(cause).Message;
        return cause is IContainsErrorRecord { ErrorRecord.FullyQualifiedErrorId: var id } && id.StartsWith("Modules_ModuleNotFound", StringComparison.Ordinal)
            ? new HandlerScriptException("ModuleNotFound", ErrorCategory.ObjectNotFound, $"-ImportModule: {message}", cause)
            : new HandlerScriptException(
                "HandlerRunspace", ErrorCategory.OpenError, $"No runspace for the handler could be made: {message}", cause);
    }

    /// <summary>Waits for all the threads together, and returns the threads that are still alive after that time.</summary>
    private static HandlerThread[] JoinAll(HandlerThread[] threads, TimeSpan patience)
    {
        long begun = Stopwatch.GetTimestamp();
        return [.. threads.Where(thread => !thread.Join(Left()))];

        TimeSpan Left() => patience - Stopwatch.GetElapsedTime(begun) is { Ticks: > 0 } left ? left : TimeSpan.Zero;
    }

    /// <summary>
    /// Runs a stop, which may block for long, on a thread of its own. If the process may not start another thread, the stop is queued to the
    /// thread pool, so that stopping the server never fails because threads are exhausted.
    /// </summary>
    private void Begin(Action stop)
    {
        Engine.EngineThread thread = new($"c10k {Server.Name} stop", stop, OnStopFailed);
        try
        {
            thread.Start();
        }
        catch (Engine.EngineException)
        {
            ThreadPool.UnsafeQueueUserWorkItem(_ => thread.RunHere(), null);
        }
    }

    private void OnStopFailed(Exception exception) =>
        Server.Report(Engine.EventLevel.Error, $"Stopping a handler has failed: {Engine.ExceptionText.Full(exception)}");

    private void Add()
    {
        HandlerThread thread = new(this, _code, ++_number);
        thread.Start();
        _threads.Add(thread);
    }

    private void Watch()
    {
        // A handler has exceeded its time limit when a look finds it at the same message at which an earlier look, at least that long ago,
        // found it.
        long timeout = Ticks(_code.Timeout);
        TimeSpan interval = timeout == 0 ? LongestLook : TimeSpan.FromMilliseconds(Math.Clamp(_code.Timeout.TotalMilliseconds / 8, 5, LongestLook.TotalMilliseconds));
        Dictionary<HandlerThread, Sight> sights = [];
        long lastLook = Stopwatch.GetTimestamp();
        while (Sleep(interval))
        {
            long look = Stopwatch.GetTimestamp();
            long late = look - lastLook - Ticks(interval);
            lastLook = look;
            try
            {
                if (late > Ticks(Standstill))
                {
                    Postpone(sights, late);
                }

                LookAt(Threads(), sights, timeout);
            }
            catch (Exception e)
            {
                // The process may not start another thread, for instance. The error must not end the process, and its cause may be gone at
                // the next look.
                Server.Report(Engine.EventLevel.Error, $"Watching over the handlers has failed: {Engine.ExceptionText.Full(e)}");
            }
        }
    }

    /// <summary>
    /// Moves the starting times on by the time for which this thread was held up. The handlers were held up, too, for instance because the
    /// process was stopped, so that time does not count against their limit (pitfall 64).
    /// </summary>
    private static void Postpone(Dictionary<HandlerThread, Sight> sights, long by)
    {
        foreach ((HandlerThread thread, Sight sight) in sights.ToArray())
        {
            sights[thread] = sight with { Since = sight.Since + by };
        }
    }

    private void LookAt(HandlerThread[] threads, Dictionary<HandlerThread, Sight> sights, long timeout)
    {
        foreach (HandlerThread gone in sights.Keys.Except(threads).ToArray())
        {
            sights.Remove(gone);
        }

        foreach (HandlerThread thread in threads)
        {
            Sight sight = sights.GetValueOrDefault(thread);
            long sequence = thread.Look();

            // The time is read after the look. Otherwise a message that begins between the two would count as older than it is.
            long now = Stopwatch.GetTimestamp();
            if (sight.Interrupted && !thread.HasComeBack)
            {
                if (now - sight.Since > Ticks(StopGrace))
                {
                    GiveUp(thread);
                }
            }
            else if (sight.Interrupted || sight.Sequence != sequence)
            {
                sights[thread] = new Sight(sequence, now, Interrupted: false);
            }
            else if (sequence > 0 && timeout > 0 && now - sight.Since >= timeout && thread.TryInterrupt(sequence, out Engine.Session? session))
            {
                sights[thread] = new Sight(sequence, now, Interrupted: true);
                session!.TimeOut(_code.Timeout);
                Begin(thread.StopPipeline);
            }
        }
    }

    /// <summary>Sleeps until the next look. Returns false when the pool stops.</summary>
    private bool Sleep(TimeSpan interval)
    {
        lock (_gate)
        {
            if (!_stopping)
            {
                Monitor.Wait(_gate, interval);
            }

            return !_stopping;
        }
    }

    /// <summary>The threads that are alive, together with new ones for the threads that have failed or were abandoned.</summary>
    private HandlerThread[] Threads()
    {
        lock (_gate)
        {
            _threads.RemoveAll(static thread => !thread.IsAlive);
            _abandoned.RemoveAll(static thread => !thread.IsAlive);
            while (_threads.Count < _code.ThreadCount && _abandoned.Count < MostAbandoned && !_stopping)
            {
                Add();
            }

            return [.. _threads];
        }
    }

    private void GiveUp(HandlerThread thread)
    {
        if (!thread.TryAbandon())
        {
            return;
        }

        lock (_gate)
        {
            _threads.Remove(thread);
            _abandoned.Add(thread);
        }

        Begin(thread.CloseRunspace);
        Server.Report(Engine.EventLevel.Error, "A handler cannot be stopped, as a call into .NET blocks it. Its thread was left to itself and replaced.");
    }

    /// <param name="Sequence">The number of the message that the thread was at; 0 for none.</param>
    /// <param name="Since">When a look first found the thread at that message, or when the thread was interrupted.</param>
    /// <param name="Interrupted">Whether the message is being stopped.</param>
    private readonly record struct Sight(long Sequence, long Since, bool Interrupted);
}
