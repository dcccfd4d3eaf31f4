using System.Runtime.ExceptionServices;

namespace C10kServer.Engine.Load;

/// <summary>
/// Loads a server, from a thread of its own. Start the load, wait for it and take its report. A load that was stopped has no report. Members
/// may be called from any thread; call <see cref="Dispose"/> after the other calls have returned.
/// </summary>
public sealed class LoadGenerator : IDisposable
{
    private readonly LoadLoop _loop;
    private readonly EngineThread _thread;
    private readonly ManualResetEventSlim _done = new();
    private LoadReport? _report;
    private ExceptionDispatchInfo? _failure;

    /// <exception cref="ArgumentException">An option is out of its range. ParamName is the option.</exception>
    /// <exception cref="LoadException">The process has too few descriptors.</exception>
    public LoadGenerator(LoadOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        try
        {
            _loop = LoadLoop.For(options);
        }
        catch (EngineException e) when (e.Errno is Native.Errno.EMFILE or Native.Errno.ENFILE)
        {
            throw new LoadException(LoadFailure.DescriptorLimit, $"The process has no descriptors left: {Native.Errno.Describe(e.Errno)}. Stop servers, or raise the limit (ulimit -n).", e.Errno);
        }

        _thread = new EngineThread("c10k load", Run, Fail);
    }

    /// <summary>A snapshot of the load's progress.</summary>
    public LoadProgress Progress => _loop.Progress;

    /// <summary>The load's report. Null before the load is done, and forever if the load was stopped.</summary>
    /// <exception cref="LoadException">Not one connection could be made.</exception>
    public LoadReport? Report
    {
        get
        {
            _failure?.Throw();
            return _report;
        }
    }

    /// <summary>Begins the load.</summary>
    /// <exception cref="LoadException">The process is not allowed to start another thread.</exception>
    public void Start()
    {
        try
        {
            _thread.Start();
        }
        catch (EngineException e)
        {
            throw new LoadException(
                LoadFailure.ThreadLimit,
                $"The process may start no further thread. Stop servers or programs, or {EngineThread.RaiseLimit}",
                e.Errno);
        }
    }

    /// <summary>Waits for the load's end. False when the time is over before that.</summary>
    public bool Wait(TimeSpan timeout) => _done.Wait(timeout);

    /// <summary>Ends the load at once.</summary>
    public void Stop() => _loop.Stop();

    /// <summary>Ends the load if it still runs, and waits for that. No thread, connection or descriptor is left.</summary>
    public void Dispose()
    {
        if (_thread.IsAlive)
        {
            _loop.Stop();
            _thread.Join(Timeout.InfiniteTimeSpan);
        }

        _loop.Dispose();
        _done.Dispose();
    }

    private void Run()
    {
        _report = _loop.Run();
        _done.Set();
    }

    // The exception is thrown again to the reader of the report.
    private void Fail(Exception exception)
    {
        _failure = ExceptionDispatchInfo.Capture(exception);
        _done.Set();
    }
}
