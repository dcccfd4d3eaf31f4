using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// The handler threads of a server, and the thread that watches over them: a handler over its time is stopped, and a thread that does not come back
/// is abandoned and replaced.
/// </summary>
internal sealed class HandlerPool
{
    // A script is stopped in some 10 ms. What takes longer than this is a blocking call into .NET.
    private static readonly TimeSpan StopGrace = TimeSpan.FromMilliseconds(500);

    // What handlers have for their last messages and OnClose when the server stops, and then to be stopped: Stop-C10kServer is to be back in two
    // seconds, whatever they do.
    private static readonly TimeSpan LastWords = TimeSpan.FromMilliseconds(400);

    private static readonly TimeSpan StopPatience = TimeSpan.FromMilliseconds(500);

    // The same for a start that is called off: Ctrl+C is to be answered in half a second.
    private static readonly TimeSpan StartPatience = TimeSpan.FromMilliseconds(250);

    private static readonly TimeSpan OneLook = TimeSpan.FromMilliseconds(20);

    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(1);

    // A look that comes later than this was held up together with the handlers. Less is the scheduler's ordinary delay.
    private static readonly TimeSpan Standstill = TimeSpan.FromMilliseconds(50);

    // Each one is a thread and a runspace for as long as its call blocks.
    private const int MostAbandoned = 32;

    private readonly HandlerCode _code;

    // Guards what follows; the watching thread sleeps on it.
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

    /// <summary>Makes the runspaces, side by side; they wait for messages when it returns.</summary>
    /// <exception cref="HandlerScriptException">One could not be made, as a module cannot be imported. Nothing is left.</exception>
    /// <exception cref="Engine.ServerStartException">The process may have no further thread. Nothing is left.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left.</exception>
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
    /// After the server has ended: the handlers get through with what there is, in a moment, and are stopped then. Within a second and a half;
    /// one that cannot be stopped is left to itself. May be called from a handler, which then ends after its message.
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

            // Each look may come between two messages.
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

            // Who stops the servers as the shell ends looks at the runspaces next.
            SpinWait.SpinUntil(() => !stuck.Any(static thread => thread.IsRunspaceOpen), StartPatience);
        }

        if (_watch is { IsCurrent: false })
        {
            _watch.Join(Timeout.InfiniteTimeSpan);
        }
    }

    internal LiveConnection ConnectionOf(Engine.Session session) => (LiveConnection)(session.Owner ??= new LiveConnection(session, this));

    /// <summary>An encoder of the calling thread's own, which may be another server's handler.</summary>
    internal HandlerOutput OutputOfThisThread() =>
        HandlerThread.Current is { } thread && thread.IsOf(this) ? thread.SendOutput : new HandlerOutput(_code.Framing, _code.Encoding);

    internal System.Text.Encoding Encoding => _code.Encoding;

    /// <summary>From a thread that ends though it should not. The watching thread replaces it.</summary>
    internal void OnThreadFailed(Exception exception) =>
        Server.Report(Engine.EventLevel.Error, $"A handler thread has failed and is replaced: {Engine.ExceptionText.Full(exception)}");

    /// <summary>From whoever closes a handler thread's runspace from outside.</summary>
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

    /// <summary>Waits for threads together; those that are left then.</summary>
    private static HandlerThread[] JoinAll(HandlerThread[] threads, TimeSpan patience)
    {
        long begun = Stopwatch.GetTimestamp();
        return [.. threads.Where(thread => !thread.Join(Left()))];

        TimeSpan Left() => patience - Stopwatch.GetElapsedTime(begun) is { Ticks: > 0 } left ? left : TimeSpan.Zero;
    }

    /// <summary>
    /// Begins a stop, which may be held up for long, on a thread of its own. Where the process may have no further thread, the stop waits for
    /// one of the thread pool's, so that a stop of the server never fails for want of threads.
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
        // A handler is over its time when a look finds it at the message at which it was so long ago.
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
                // No thread can be had, for instance. Whatever it is, it must not end the process, and may be over at the next look.
                Server.Report(Engine.EventLevel.Error, $"Watching over the handlers has failed: {Engine.ExceptionText.Full(e)}");
            }
        }
    }

    /// <summary>
    /// Handlers did not get on while this thread did not: the process was stopped, say. That is not time that they have taken (pitfall 64).
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

            // After the look: a message that has begun meanwhile is not to count as older than it is.
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

    /// <summary>False when the pool stops.</summary>
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

    /// <summary>Those that there are, and as many new ones as there are too few: some have failed, or were abandoned.</summary>
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

    /// <param name="Sequence">The message that a thread was at; 0 for none.</param>
    /// <param name="Since">When it was first seen there, or was interrupted.</param>
    /// <param name="Interrupted">It is being stopped.</param>
    private readonly record struct Sight(long Sequence, long Since, bool Interrupted);
}
