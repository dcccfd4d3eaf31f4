using System.Collections.ObjectModel;
using System.Diagnostics;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// A thread with its own runspace, in which one long pipeline calls the handler. Two threads never share a runspace.
/// <para>
/// Threads: most members are used on this thread alone. The <see cref="HandlerPool"/> watches the thread through <see cref="Look"/>,
/// <see cref="TryInterrupt"/>, <see cref="StopPipeline"/>, <see cref="TryAbandon"/>, <see cref="CloseRunspace"/>, <see cref="TryEnd"/>,
/// <see cref="StopLoading"/> and <see cref="Join"/>, which other threads call. Other threads call <see cref="OnPipelineStopped"/>, too.
/// The end of a message and its interruption may race: one atomic exchange of <see cref="_phase"/> decides which of them comes first.
/// </para>
/// </summary>
internal sealed class HandlerThread
{
    // The phase has the number of the message in its upper bits and one of these values in the lower ones, so that an exchange is for that
    // message alone.
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

    // Guards the end of an interruption: either the thread comes back, or the pool gives it up.
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

    /// <summary>The calling thread's object, or null if it is not a handler thread.</summary>
    internal static HandlerThread? Current => t_current;

    /// <summary>The session whose message the thread has at present. Read on this thread.</summary>
    internal Engine.Session? Session => _session;

    /// <summary>Completes when the runspace is ready, or fails if the runspace could not be made.</summary>
    internal Task Ready => _ready.Task;

    internal bool IsAlive => _thread.IsAlive;

    /// <exception cref="Engine.EngineException">The process may not start another thread.</exception>
    internal void Start() => _thread.Start();

    /// <summary>Called from the watching thread. Returns the number of the message that this thread is at, or 0 if there is none.</summary>
    internal long Look() => Volatile.Read(ref _phase) is var phase && (phase & PhaseMask) == Running ? phase >> PhaseBits : 0;

    /// <summary>
    /// Called from the watching thread. Interrupts a message, unless the message has just ended. After an interruption this thread waits for
    /// <see cref="StopPipeline"/>, which the caller must call.
    /// </summary>
    internal bool TryInterrupt(long sequence, out Engine.Session? session)
    {
        // This is the session of that message, because the session changes only after the phase has. If it has changed, the exchange below fails.
        session = _session;
        long running = (sequence << PhaseBits) | Running;
        return Interlocked.CompareExchange(ref _phase, (sequence << PhaseBits) | Interrupted, running) == running;
    }

    /// <summary>
    /// Called after <see cref="TryInterrupt"/>, on a thread that this call may block. Stops the pipeline, and returns when the pipeline has
    /// ended. If a .NET call blocks the handler, that may never happen.
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
    /// Called after <see cref="TryInterrupt"/>, when the thread does not come back. Gives its session to the other threads. Returns false if
    /// the thread has just come back.
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

            // The scheduler is told within the lock, because the thread leaves the scheduler after it has held this lock.
            _consumer!.Abandon();
            return true;
        }
    }

    /// <summary>
    /// Called when the thread is given up, on another thread, which may be blocked for as long as this one. A shell that ends waits for the
    /// pipelines of every open runspace, so it would wait for this thread if the runspace stayed open.
    /// </summary>
    internal void CloseRunspace() => _runspace.CloseFromOutside();

    /// <summary>Whether the runspace is open, so that a shell that ends waits for it.</summary>
    internal bool IsRunspaceOpen => _runspace.IsOpen;

    /// <summary>
    /// Called from the thread that stops the pipeline. If the pool does not stop it, other code is closing the runspace, and waits until
    /// nothing runs there any more. In that case the server is stopped, on another thread: a stop from here would wait for this thread, which
    /// waits for that close.
    /// </summary>
    internal void OnPipelineStopped()
    {
        if (!IsInterrupted && !_ending)
        {
            _ending = true;
            _pool.OnRunspaceClosing();
        }
    }

    /// <summary>
    /// Called from the pool. The thread does not begin another message. Returns false if modules are still being imported; then the pool must
    /// call <see cref="StopLoading"/>.
    /// </summary>
    internal bool TryEnd()
    {
        _ending = true;
        return _ready.Task.IsCompleted;
    }

    /// <summary>Called after <see cref="TryEnd"/>, on a thread that this call may block. Stops the import of modules.</summary>
    internal void StopLoading()
    {
        // The stop is repeated, because a pipeline that was about to begin when it was stopped begins all the same.
        do
        {
            _runspace.Stop();
        }
        while (!_ready.Task.IsCompleted && !_thread.Join(TimeSpan.FromMilliseconds(20)));
    }

    /// <summary>Whether the interruption is over.</summary>
    internal bool HasComeBack => !IsInterrupted || !_thread.IsAlive;

    /// <summary>Waits for the thread to end. Returns true at once when this thread itself calls it.</summary>
    internal bool Join(TimeSpan timeout) => _thread.IsCurrent || _thread.Join(timeout);

    /// <summary>Called when the handler has closed its connection. The output that it makes with this message is sent before the close.</summary>
    internal void CloseAfterMessage() => _closeAfter = true;

    /// <summary>Whether the thread belongs to that pool, and so uses that pool's framing and encoding.</summary>
    internal bool IsOf(HandlerPool pool) => _pool == pool;

    /// <summary>
    /// The encoder for data that a handler sends with a method. It is separate from the encoder of the handler's output, because the ToString
    /// of an object in that output may also send.
    /// </summary>
    internal HandlerOutput SendOutput => _sendOutput;

    /// <summary>Runs within the pipeline. Calls the handler until no more messages come, or until it is interrupted.</summary>
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
                // A stop of the pipeline is under way, and must not hit the next message.
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
                // The interrupted pipeline has ended, and the runspace can run the next one.
            }
        }
        catch (Exception e)
        {
            if (!_ready.TrySetException(e) || _number > _code.ThreadCount)
            {
                // The start waits only for the first threads. If a replacement fails before it is ready, nothing else reports it.
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

    /// <summary>Runs one pipeline. Returns false when the thread must end.</summary>
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

            // The next pipeline must not begin before the stop of this one has finished, because the stop would hit the next one.
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
            // Each call removes $_ from the list.
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
            // This is an exit in a function, or a break that found no loop. It ends this message and nothing else.
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

        // Each call gets its own array, because a handler may keep $args.
        return [Connection, _data, .. _code.Arguments];
    }
}
