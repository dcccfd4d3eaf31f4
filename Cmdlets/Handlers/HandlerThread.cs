using System.Collections.ObjectModel;
using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// A thread with a runspace of its own, and in that one long pipeline, which calls the handler. Two threads never share a runspace.
/// <para>
/// Threads: everything is the thread's own, but for <see cref="Look"/>, <see cref="TryInterrupt"/>, <see cref="StopPipeline"/>,
/// <see cref="TryAbandon"/>, <see cref="CloseRunspace"/>, <see cref="TryEnd"/>, <see cref="StopLoading"/> and <see cref="Join"/>, by which the
/// <see cref="HandlerPool"/> watches over it, and for <see cref="OnPipelineStopped"/>. Who wins between the end of a message and its
/// interruption is decided by one exchange of <see cref="_phase"/>.
/// </para>
/// </summary>
internal sealed class HandlerThread
{
    // The phase: the number of the message in the upper bits, so that an exchange can mean that message and no other, and one of these.
    private const long Idle = 0;
    private const long Running = 1;
    private const long Interrupted = 2;
    private const int PhaseBits = 2;
    private const long PhaseMask = (1 << PhaseBits) - 1;

    [ThreadStatic]
    private static HandlerThread? t_current;

    private readonly HandlerPool _pool;
    private readonly HandlerCode _code;
    private readonly int _number;
    private readonly HandlerOutput _output;
    private readonly HandlerOutput _sendOutput;
    private readonly Engine.EngineThread _thread;

    // Guards the end of an interruption: the thread's return, or that the thread is given up.
    private readonly object _settling = new();
    private readonly List<PSVariable> _variables = [];
    private readonly PSVariable _underbar = new("_");
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ScriptBlock? _onMessage;
    private ScriptBlock? _onConnect;
    private ScriptBlock? _onClose;
    private Engine.SessionConsumer? _consumer;
    private readonly HandlerRunspace _runspace;
    private Engine.Session? _session;
    private object? _data;
    private bool _closeAfter;
    private long _sequence;
    private long _phase;
    private bool _settled;
    private bool _abandoned;
    private volatile bool _ending;

    internal HandlerThread(HandlerPool pool, HandlerCode code, int number)
    {
        _pool = pool;
        _code = code;
        _number = number;
        _output = new HandlerOutput(code.Framing, code.Encoding);
        _sendOutput = new HandlerOutput(code.Framing, code.Encoding);
        _thread = new Engine.EngineThread($"c10k {pool.Server.Name} h{number}", Run, pool.OnThreadFailed);
        _runspace = new HandlerRunspace(_thread.Name);
    }

    /// <summary>The calling thread's, if it is one.</summary>
    internal static HandlerThread? Current => t_current;

    /// <summary>Whose message it has at present; on the thread.</summary>
    internal Engine.Session? Session => _session;

    /// <summary>Done when its runspace is there; failed where that could not be made.</summary>
    internal Task Ready => _ready.Task;

    internal bool IsAlive => _thread.IsAlive;

    /// <exception cref="Engine.EngineException">The process may have no further thread.</exception>
    internal void Start() => _thread.Start();

    /// <summary>From the watching thread: the number of the message that it is at, or 0 while there is none.</summary>
    internal long Look() => Volatile.Read(ref _phase) is var phase && (phase & PhaseMask) == Running ? phase >> PhaseBits : 0;

    /// <summary>
    /// From the watching thread: interrupts a message, unless it has just come to its end. The thread then waits for
    /// <see cref="StopPipeline"/>, which is owed to it.
    /// </summary>
    internal bool TryInterrupt(long sequence, out Engine.Session? session)
    {
        // That message's: it changes after the phase has, and then the exchange fails.
        session = _session;
        long running = (sequence << PhaseBits) | Running;
        return Interlocked.CompareExchange(ref _phase, (sequence << PhaseBits) | Interrupted, running) == running;
    }

    /// <summary>
    /// After <see cref="TryInterrupt"/>, on a thread that may be held up: stops the pipeline. Returns when it has ended, which for a blocking .NET
    /// call may be never.
    /// </summary>
    internal void StopPipeline()
    {
        _runspace.Stop();
        lock (_settling)
        {
            _settled = true;
            Monitor.PulseAll(_settling);
        }
    }

    /// <summary>
    /// After <see cref="TryInterrupt"/>: the thread does not come back, and its session goes to the others. False: it just has come back.
    /// </summary>
    internal bool TryAbandon()
    {
        lock (_settling)
        {
            if (!IsInterrupted)
            {
                return false;
            }

            _abandoned = true;

            // Within the lock: the thread leaves the scheduler behind it.
            _consumer!.Abandon();
            return true;
        }
    }

    /// <summary>
    /// When it is given up, on a thread that may be held up for as long as it is: a shell that ends waits for what runs in each runspace that is
    /// open, and so would wait for this one.
    /// </summary>
    internal void CloseRunspace() => _runspace.CloseFromOutside();

    /// <summary>Whether a shell that ends passes it by.</summary>
    internal bool IsRunspaceOpen => _runspace.IsOpen;

    /// <summary>
    /// From whoever stops the pipeline. If that is none of the pool, it is somebody who closes the runspace, and waits until nothing runs there
    /// any more: then the server is at its end. Not in here, where it would wait for this thread, which waits for that close.
    /// </summary>
    internal void OnPipelineStopped()
    {
        if (!IsInterrupted && !_ending)
        {
            _ending = true;
            _pool.OnRunspaceClosing();
        }
    }

    /// <summary>From the pool: begins no further message. False: modules are still being imported, and <see cref="StopLoading"/> is called for.</summary>
    internal bool TryEnd()
    {
        _ending = true;
        return _ready.Task.IsCompleted;
    }

    /// <summary>After <see cref="TryEnd"/>, on a thread that may be held up.</summary>
    internal void StopLoading()
    {
        // Again and again: a pipeline that was about to begin when it was stopped begins all the same.
        do
        {
            _runspace.Stop();
        }
        while (!_ready.Task.IsCompleted && !_thread.Join(TimeSpan.FromMilliseconds(20)));
    }

    /// <summary>Whether its interruption is over.</summary>
    internal bool HasComeBack => !IsInterrupted || !_thread.IsAlive;

    /// <summary>From any thread but this one.</summary>
    internal bool Join(TimeSpan timeout) => _thread.IsCurrent || _thread.Join(timeout);

    /// <summary>The handler has closed its connection: what it puts out with this message is sent before.</summary>
    internal void CloseAfterMessage() => _closeAfter = true;

    /// <summary>Whether it is one of that pool's, and so encodes as that one does.</summary>
    internal bool IsOf(HandlerPool pool) => _pool == pool;

    /// <summary>For what a handler sends by itself. Apart from its output, as the ToString of an object there may send, too.</summary>
    internal HandlerOutput SendOutput => _sendOutput;

    /// <summary>Within the pipeline: calls the handler until no more messages come, or it is interrupted.</summary>
    internal void Serve()
    {
        while (!_ending && _consumer!.TryTake(out Engine.Session? session, out Engine.SessionMessage? message))
        {
            _session = session;
            _data = message.Data;
            _closeAfter = false;
            long running = (++_sequence << PhaseBits) | Running;
            Volatile.Write(ref _phase, running);
            Call(session, message);
            if (Interlocked.CompareExchange(ref _phase, Idle, running) != running)
            {
                // The stop of the pipeline is on its way, and must not hit the next message.
                return;
            }
        }
    }

    private void Run()
    {
        t_current = this;
        try
        {
            Open();
            _consumer = new Engine.SessionConsumer(_pool.Scheduler);
            _ready.SetResult();
            while (Pipeline())
            {
                // An interrupted pipeline is at its end, and the runspace takes the next.
            }
        }
        catch (Exception e)
        {
            if (!_ready.TrySetException(e) || _number > _code.ThreadCount)
            {
                // Nobody waits for a replacement to be ready.
                _pool.OnThreadFailed(e);
            }
        }
        finally
        {
            _consumer?.Leave();
            _runspace.Close();
            t_current = null;
        }
    }

    private void Open()
    {
        _runspace.Open(
            _code,
            [
                new HandlerVariable("Connection", () => Connection),
                new HandlerVariable("Data", () => _data),
                new HandlerVariable("Server", () => _pool.Server),
                new HandlerVariable("ConnectionState", () => Connection?.ConnectionState),
            ]);
        foreach (ErrorRecord record in _runspace.ImportModules(_code.Modules, () => _ending))
        {
            _pool.Server.Report(Engine.EventLevel.Warning, $"While modules were imported for the handler: {HandlerErrorException.From(record)}");
        }

        _onMessage = _code.OnMessage.Build();
        _onConnect = _code.OnConnect?.Build();
        _onClose = _code.OnClose?.Build();
    }

    private bool IsInterrupted => (Volatile.Read(ref _phase) & PhaseMask) == Interrupted;

    private LiveConnection? Connection => _session is { } session ? _pool.ConnectionOf(session) : null;

    /// <summary>One run of the pipeline. False when the thread is at its end.</summary>
    private bool Pipeline()
    {
        PowerShell pipeline = _runspace.NewPipeline();
        try
        {
            pipeline.AddCommand("Invoke-C10kHandler").AddParameter("Thread", this);
            HandlerStreams.Attach(pipeline.Streams, this);
            try
            {
                pipeline.Invoke();
            }
            catch (PipelineStoppedException) when (IsInterrupted || _ending)
            {
            }

            // Not before the stop has come through: it would hit the next pipeline.
            lock (_settling)
            {
                if (!IsInterrupted)
                {
                    return false;
                }

                while (!_settled)
                {
                    Monitor.Wait(_settling);
                }

                _settled = false;
                Volatile.Write(ref _phase, Idle);
                return !_abandoned && !_ending;
            }
        }
        finally
        {
            _runspace.Retire(pipeline);
        }
    }

    private void Call(Engine.Session session, Engine.SessionMessage message)
    {
        (ScriptBlock? block, HandlerScript? script) = message.Kind switch
        {
            Engine.SessionEvent.Opened => (_onConnect, _code.OnConnect),
            Engine.SessionEvent.Closed => (_onClose, _code.OnClose),
            Engine.SessionEvent.Received => (_onMessage, _code.OnMessage),
            _ => throw new UnreachableException(),
        };
        try
        {
            // The call takes $_ out of the list.
            _underbar.Value = _data;
            _variables.Add(_underbar);
            Collection<PSObject> output = block!.InvokeWithContext(null as Dictionary<string, ScriptBlock>, _variables, ArgumentsFor(script!));
            if (output.Count > 0)
            {
                session.Answer(_output.Encode(output));
            }
        }
        catch (PipelineStoppedException) when (IsInterrupted)
        {
            throw;
        }
        catch (FlowControlException)
        {
            // exit in a function, or a break that found no loop: the end of this message and of nothing else.
        }
        catch (Exception e)
        {
            session.Fail(HandlerErrorException.From(e));
        }

        if (_closeAfter)
        {
            session.Close();
        }
    }

    private object?[] ArgumentsFor(HandlerScript script)
    {
        if (!script.TakesArguments)
        {
            return [];
        }

        // Its own with each call: a handler may keep $args.
        return [Connection, _data, .. _code.Arguments];
    }
}
