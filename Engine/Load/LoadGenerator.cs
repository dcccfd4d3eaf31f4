using System.Runtime.ExceptionServices;

namespace C10kServer.Engine.Load;

/// <summary>
/// Loads a server, from a thread of its own. Start it, wait for it, take its report; or stop it, and there is none. Members may be called
/// from any thread, <see cref="Dispose"/> when the others are done.
/// </summary>
public sealed class LoadGenerator : IDisposable
{
    private readonly LoadLoop _loop;
    private readonly EngineThread _thread;
    private readonly ManualResetEventSlim _done = new();
    private LoadReport? _report;
    private ExceptionDispatchInfo? _failure;

    /// <exception cref="ArgumentException">An option is out of its range; ParamName is the option.</exception>
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

    /// <summary>A look at it.</summary>
    public LoadProgress Progress => _loop.Progress;

    /// <summary>What it has found; null before it is done, and for ever when it was stopped.</summary>
    /// <exception cref="LoadException">Not one connection could be made.</exception>
    public LoadReport? Report
    {
        get
        {
            _failure?.Throw();
            return _report;
        }
    }

    /// <summary>Begins.</summary>
    /// <exception cref="LoadException">The process may have no further thread.</exception>
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
                "The process may start no further thread. Stop servers or programs, or raise the limit: that of the user (ulimit -u), or that of the " +
                "control group (pids.max, which is TasksMax= of a systemd unit).",
                e.Errno);
        }
    }

    /// <summary>Waits for the end. False when the time is over before.</summary>
    public bool Wait(TimeSpan timeout) => _done.Wait(timeout);

    /// <summary>Ends it at once.</summary>
    public void Stop() => _loop.Stop();

    /// <summary>Ends it where it still runs. No thread, connection or descriptor is left.</summary>
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

    // Told to the reader of the report.
    private void Fail(Exception exception)
    {
        _failure = ExceptionDispatchInfo.Capture(exception);
        _done.Set();
    }
}
