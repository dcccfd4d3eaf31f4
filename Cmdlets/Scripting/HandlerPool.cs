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

    private static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(1);

    // Each one is a thread and a runspace for as long as its call blocks.
    private const int MostAbandoned = 32;

    private readonly HandlerCode _code;

    // Guards what follows; the watching thread sleeps on it.
    private readonly object _gate = new();
    private readonly List<HandlerThread> _threads = [];
    private readonly List<HandlerThread> _abandoned = [];
    private Thread? _watch;
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
    /// <exception cref="OperationCanceledException">The token was cancelled. Nothing is left.</exception>
    internal void Start(CancellationToken cancel)
    {
        lock (_gate)
        {
            while (_threads.Count < _code.ThreadCount)
            {
                Add();
            }
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

        _watch = new Thread(Watch) { IsBackground = true, Name = $"c10k {Server.Name} watch" };
        _watch.Start();
    }

    /// <summary>
    /// After the server has ended: the handlers get through with what there is, in a moment, and are stopped then. Within a second and a half;
    /// one that cannot be stopped is left to itself. May be called from a handler, which then ends after its message.
    /// </summary>
    internal void Stop()
    {
        HandlerThread[] threads;
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
            threads = [.. _threads];
        }

        Scheduler.Complete();
        long deadline = Stopwatch.GetTimestamp() + Ticks(LastWords);
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
            foreach (HandlerThread thread in left.Where(static thread => !thread.HasComeBack))
            {
                thread.Abandon();
                Server.Report(Engine.EventLevel.Warning, "A handler blocks its thread, which was left to itself.");
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

    /// <summary>From a thread that ends though it should not. The watching thread replaces it.</summary>
    internal void OnThreadFailed(Exception exception) =>
        Server.Report(Engine.EventLevel.Error, $"A handler thread has failed and is replaced: {exception}");

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    private static HandlerThread[] JoinAll(HandlerThread[] threads, long deadline) =>
        [.. threads.Where(thread => !thread.Join(TimeSpan.FromSeconds(Math.Max(0, (double)(deadline - Stopwatch.GetTimestamp()) / Stopwatch.Frequency))))];

    private void StopPipeline(HandlerThread thread) =>
        new Thread(thread.StopPipeline) { IsBackground = true, Name = $"c10k {Server.Name} stop" }.Start();

    private void Add()
    {
        HandlerThread thread = new(this, _code, ++_number);
        _threads.Add(thread);
        thread.Start();
    }

    private void Watch()
    {
        // A handler is over its time when a look finds it at the message at which it was so long ago.
        long timeout = Ticks(_code.Timeout);
        TimeSpan interval = timeout == 0 ? LongestLook : TimeSpan.FromMilliseconds(Math.Clamp(_code.Timeout.TotalMilliseconds / 8, 5, LongestLook.TotalMilliseconds));
        Dictionary<HandlerThread, Sight> sights = [];
        while (Sleep(interval))
        {
            HandlerThread[] threads = Threads();
            foreach (HandlerThread gone in sights.Keys.Except(threads).ToArray())
            {
                sights.Remove(gone);
            }

            long now = Stopwatch.GetTimestamp();
            foreach (HandlerThread thread in threads)
            {
                Sight sight = sights.GetValueOrDefault(thread);
                long sequence = thread.Look();
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
                    session!.TimeOut(_code.Timeout);
                    sights[thread] = new Sight(sequence, now, Interrupted: true);
                    StopPipeline(thread);
                }
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
        thread.Abandon();
        lock (_gate)
        {
            _threads.Remove(thread);
            _abandoned.Add(thread);
        }

        Server.Report(Engine.EventLevel.Error, "A handler cannot be stopped, as a call into .NET blocks it. Its thread was left to itself and replaced.");
    }

    /// <param name="Sequence">The message that a thread was at; 0 for none.</param>
    /// <param name="Since">When it was first seen there, or was interrupted.</param>
    /// <param name="Interrupted">It is being stopped.</param>
    private readonly record struct Sight(long Sequence, long Since, bool Interrupted);
}
