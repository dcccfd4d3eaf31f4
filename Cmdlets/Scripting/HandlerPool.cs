using System.Diagnostics;

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

    // Each one is a thread and a runspace for as long as its call blocks.
    private const int MostAbandoned = 32;

    private readonly HandlerCode _code;
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _stopping = new();
    private readonly List<HandlerThread> _threads = [];
    private readonly List<HandlerThread> _abandoned = [];
    private Thread? _watch;
    private int _number;

    internal HandlerPool(string serverName, HandlerCode code)
    {
        ServerName = serverName;
        _code = code;
        Scheduler = new Engine.SessionScheduler(MessageDecoding.For(code), code.OnConnect is not null, code.OnClose is not null);
    }

    internal string ServerName { get; }

    internal Engine.SessionScheduler Scheduler { get; }

    /// <summary>What handlers see as <c>$Server</c>. Set before the server starts.</summary>
    internal Server? Server { get; set; }

    /// <summary>Makes the runspaces, side by side; they wait for messages when it returns.</summary>
    /// <exception cref="HandlerScriptException">One could not be made, as a module cannot be imported. Nothing is left.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left.</exception>
    internal void Start(CancellationToken cancel)
    {
        for (int i = 0; i < _code.ThreadCount; i++)
        {
            _threads.Add(new HandlerThread(this, _code, ++_number));
            _threads[^1].Start();
        }

        try
        {
            Task.WaitAll([.. _threads.Select(static thread => thread.Ready)], cancel);
        }
        catch (OperationCanceledException)
        {
            Stop();
            throw;
        }
        catch (AggregateException e)
        {
            Stop();
            Exception cause = e.InnerExceptions[0];
            throw new HandlerScriptException(
                "HandlerRunspace", System.Management.Automation.ErrorCategory.OpenError,
                $"No runspace for the handler could be made: {cause.Message}", cause);
        }

        if (_code.Timeout > TimeSpan.Zero)
        {
            _watch = new Thread(Watch) { IsBackground = true, Name = $"c10k {ServerName} watch" };
            _watch.Start();
        }
    }

    /// <summary>
    /// After the server has ended: the handlers get through with what there is, in a moment, and are stopped then. Within a second and a half;
    /// one that cannot be stopped is left to itself. May be called from a handler, which then ends after its message.
    /// </summary>
    internal void Stop()
    {
        _stopping.Set();
        Scheduler.Complete();
        long deadline = Stopwatch.GetTimestamp() + Ticks(LastWords);
        HandlerThread[] threads;
        lock (_lock)
        {
            threads = [.. _threads];
        }

        HandlerThread[] left = JoinAll(threads, deadline);
        if (left.Length > 0)
        {
            Scheduler.Clear();
            foreach (HandlerThread thread in left)
            {
                if (thread.Look() is > 0 and long sequence && thread.TryInterrupt(sequence, out _))
                {
                    StopPipeline(thread);
                }
            }

            left = JoinAll(left, Stopwatch.GetTimestamp() + Ticks(StopPatience));
            foreach (HandlerThread thread in left)
            {
                thread.Abandon();
                Server?.LogEvent(Engine.EventLevel.Warning, "A handler blocks its thread, which was left to itself.");
            }
        }

        if (_watch != Thread.CurrentThread)
        {
            _watch?.Join();
        }
    }

    internal LiveConnection ConnectionOf(Engine.Session session) => (LiveConnection)(session.Owner ??= new LiveConnection(session, this));

    /// <summary>An encoder of the calling thread's own.</summary>
    internal HandlerOutput OutputOfThisThread() => HandlerThread.Current?.Output ?? new HandlerOutput(_code.Framing, _code.Encoding);

    internal System.Text.Encoding Encoding => _code.Encoding;

    /// <summary>What handlers write to their streams.</summary>
    internal void Log(Engine.EventLevel level, Engine.Session? session, string message) => session?.Log(level, message);

    internal void OnThreadFailed(HandlerThread thread, Exception exception)
    {
        Server?.LogEvent(Engine.EventLevel.Error, $"A handler thread has failed and is replaced: {exception}");
        lock (_lock)
        {
            if (!_stopping.IsSet && _threads.Remove(thread))
            {
                Replace();
            }
        }
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    private static HandlerThread[] JoinAll(HandlerThread[] threads, long deadline) =>
        [.. threads.Where(thread => !thread.Join(TimeSpan.FromSeconds(Math.Max(0, (double)(deadline - Stopwatch.GetTimestamp()) / Stopwatch.Frequency))))];

    private void StopPipeline(HandlerThread thread) =>
        new Thread(thread.StopPipeline) { IsBackground = true, Name = $"c10k {ServerName} stop" }.Start();

    private void Replace()
    {
        HandlerThread thread = new(this, _code, ++_number);
        _threads.Add(thread);
        thread.Start();
    }

    private void Watch()
    {
        // A handler is over its time when a look finds it at the message at which it was so long ago.
        TimeSpan interval = TimeSpan.FromMilliseconds(Math.Clamp(_code.Timeout.TotalMilliseconds / 8, 5, 1000));
        Dictionary<HandlerThread, (long Sequence, long Since)> seen = [];
        Dictionary<HandlerThread, long> interrupted = [];
        while (!_stopping.Wait(interval))
        {
            long now = Stopwatch.GetTimestamp();
            foreach (HandlerThread thread in Threads())
            {
                if (interrupted.TryGetValue(thread, out long since))
                {
                    if (thread.HasComeBack)
                    {
                        interrupted.Remove(thread);
                    }
                    else if (now - since > Ticks(StopGrace))
                    {
                        interrupted.Remove(thread);
                        GiveUp(thread);
                    }

                    continue;
                }

                long sequence = thread.Look();
                if (sequence == 0 || !seen.TryGetValue(thread, out var last) || last.Sequence != sequence)
                {
                    seen[thread] = (sequence, now);
                }
                else if (now - last.Since >= Ticks(_code.Timeout) && thread.TryInterrupt(sequence, out Engine.Session? session))
                {
                    session!.TimeOut(_code.Timeout);
                    interrupted[thread] = now;
                    StopPipeline(thread);
                }
            }

            foreach (HandlerThread gone in seen.Keys.Where(thread => !Threads().Contains(thread)).ToArray())
            {
                seen.Remove(gone);
            }
        }
    }

    private HandlerThread[] Threads()
    {
        lock (_lock)
        {
            _abandoned.RemoveAll(static thread => !thread.IsAlive);
            if (_threads.Count < _code.ThreadCount && _abandoned.Count < MostAbandoned && !_stopping.IsSet)
            {
                Replace();
            }

            return [.. _threads];
        }
    }

    private void GiveUp(HandlerThread thread)
    {
        thread.Abandon();
        lock (_lock)
        {
            _threads.Remove(thread);
            _abandoned.Add(thread);
        }

        Server?.LogEvent(Engine.EventLevel.Error, "A handler cannot be stopped, as a call into .NET blocks it. Its thread was left to itself and replaced.");
    }
}
