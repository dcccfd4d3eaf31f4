namespace C10kServer.Engine;

/// <summary>
/// A thread of the module: a background thread with a name. Its body ends in a last catch, because an exception that leaves a thread ends
/// the user's process (pitfall 44). The module makes no thread in any other way. Members may be called from any thread.
/// </summary>
public sealed class EngineThread
{
    /// <summary>The call that fails when the process may not have another thread.</summary>
    internal const string CreateCall = "pthread_create";

    /// <summary>What the user can do about it, behind what else there is to do.</summary>
    internal const string RaiseLimit =
        "raise the limit: that of the user (ulimit -u), or that of the control group (pids.max, which is TasksMax= of a systemd unit).";

    private readonly Action _body;
    private readonly Action<Exception> _onFailure;
    private volatile Thread? _thread;

    /// <param name="name">The thread's name. The kernel keeps 15 characters of it.</param>
    /// <param name="body">What the thread does.</param>
    /// <param name="onFailure">Called on the thread with the exception that has ended the body. An exception that it throws itself is
    /// dropped.</param>
    public EngineThread(string name, Action body, Action<Exception> onFailure)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(body);
        ArgumentNullException.ThrowIfNull(onFailure);
        (Name, _body, _onFailure) = (name, body, onFailure);
    }

    /// <summary>The thread's name.</summary>
    public string Name { get; }

    /// <summary>Whether the thread runs.</summary>
    public bool IsAlive => _thread is { IsAlive: true };

    /// <summary>Whether the calling thread is this one.</summary>
    public bool IsCurrent => _thread == Thread.CurrentThread;

    /// <summary>Starts the thread.</summary>
    /// <exception cref="EngineException">The process may not have another thread; nothing is left behind.</exception>
    public void Start()
    {
        var thread = new Thread(Run) { IsBackground = true, Name = Name };

        // The field is set before the start, because the body may ask whether it runs on this thread.
        _thread = thread;
        try
        {
            thread.Start();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            // The runtime says this of every failure of pthread_create(3).
            _thread = null;
            throw new EngineException(CreateCall, Native.Errno.EAGAIN, e);
        }
    }

    /// <summary>Waits for the thread's end. Returns true when the thread has ended, or was never started.</summary>
    /// <param name="timeout">How long to wait.</param>
    public bool Join(TimeSpan timeout) =>
        _thread is not { } thread || (thread.ThreadState & ThreadState.Unstarted) != 0 || thread.Join(timeout);

    /// <summary>Runs the body on the calling thread instead, with the same last catch. For a caller whose <see cref="Start"/> has failed.</summary>
    public void RunHere() => Run();

    private void Run()
    {
        try
        {
            _body();
        }
        catch (Exception e)
        {
            try
            {
                _onFailure(e);
            }
            catch (Exception)
            {
                // The failure could not be reported, perhaps for lack of memory. The thread ends, and the process goes on.
            }
        }
    }
}
