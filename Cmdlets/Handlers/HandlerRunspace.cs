using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer.Scripting;

/// <summary>
/// The runspace of a <see cref="HandlerThread"/>, and the one pipeline that runs in it at a time.
/// <para>
/// Threads: the runspace is opened, used and closed on its handler's thread. <see cref="Stop"/>, <see cref="CloseFromOutside"/> and
/// <see cref="IsOpen"/> may be called from any thread. A pipeline is disposed of only when nobody stops it, because a stop does not survive that.
/// </para>
/// </summary>
internal sealed class HandlerRunspace(string name)
{
    // Guards the pipeline, and how many are just stopping it.
    private readonly object _lock = new();
    private PowerShell? _pipeline;
    private int _stops;
    private volatile Runspace? _runspace;

    /// <summary>Whether a shell that ends waits for what runs in it.</summary>
    internal bool IsOpen => _runspace?.RunspaceStateInfo.State is RunspaceState.Opening or RunspaceState.Opened;

    // Somebody else closes the runspace at present, and waits for the end of the pipelines in it.
    private bool IsBeingClosed => _runspace?.RunspaceStateInfo.State == RunspaceState.Closing;

    /// <summary>Makes the runspace on the calling thread, which becomes the thread of its pipelines.</summary>
    /// <param name="code">What the handler takes along: values of $using:, and the location.</param>
    /// <param name="variables">The variables that the handler sees.</param>
    internal void Open(HandlerCode code, PSVariable[] variables)
    {
        InitialSessionState state = InitialSessionState.CreateDefault2();
        state.ThrowOnRunspaceOpenError = true;
        state.ThreadOptions = PSThreadOptions.UseCurrentThread;
        state.Commands.Add(new SessionStateCmdletEntry("Invoke-C10kHandler", typeof(InvokeHandlerCommand), null));
        foreach ((string variable, object? value) in code.Usings)
        {
            state.Variables.Add(new SessionStateVariableEntry(variable, value, null));
        }

        Runspace runspace = RunspaceFactory.CreateRunspace(state);
        _runspace = runspace;
        runspace.Name = name;
        runspace.Open();
        Array.ForEach(variables, runspace.SessionStateProxy.PSVariable.Set);
        if (Directory.Exists(code.Location))
        {
            // The location existed at the start. A thread that replaces another one is made all the same when it no longer exists.
            runspace.SessionStateProxy.Path.SetLocation(WildcardPattern.Escape(code.Location));
        }
    }

    /// <summary>Imports modules by a pipeline, which can be stopped: opening a runspace cannot. Returns the errors that did not end the import.</summary>
    /// <param name="modules">The modules' names.</param>
    /// <param name="isEnding">Whether the thread is to end instead.</param>
    /// <exception cref="PipelineStoppedException">The import was stopped, or the thread is to end.</exception>
    internal ErrorRecord[] ImportModules(string[] modules, Func<bool> isEnding)
    {
        if (modules.Length == 0)
        {
            return [];
        }

        PowerShell pipeline = NewPipeline();
        try
        {
            if (isEnding())
            {
                throw new PipelineStoppedException();
            }

            pipeline.AddCommand("Import-Module").AddParameter("Name", modules).AddParameter("ErrorAction", ActionPreference.Stop);
            pipeline.Invoke();
            return [.. pipeline.Streams.Error];
        }
        finally
        {
            Retire(pipeline);
        }
    }

    /// <summary>A pipeline in the runspace, which <see cref="Stop"/> stops from now on. <see cref="Retire"/> is owed to it.</summary>
    internal PowerShell NewPipeline()
    {
        PowerShell pipeline = PowerShell.Create();
        pipeline.Runspace = _runspace;
        lock (_lock)
        {
            _pipeline = pipeline;
        }

        return pipeline;
    }

    /// <summary>
    /// The pipeline's end, once nobody is stopping it any more. Whoever closes the runspace stops the pipeline, too, and is not to be waited for;
    /// then the pipeline is left to the collector.
    /// </summary>
    internal void Retire(PowerShell pipeline)
    {
        lock (_lock)
        {
            _pipeline = null;
            while (_stops > 0)
            {
                Monitor.Wait(_lock);
            }
        }

        if (!IsBeingClosed)
        {
            pipeline.Dispose();
        }
    }

    /// <summary>From any thread, which may be held up: stops the pipeline that runs, if one does.</summary>
    internal void Stop()
    {
        PowerShell? pipeline;
        lock (_lock)
        {
            pipeline = _pipeline;
            if (pipeline is null)
            {
                return;
            }

            _stops++;
        }

        try
        {
            pipeline.Stop();
        }
        finally
        {
            EndStop();
        }
    }

    /// <summary>
    /// The end of the runspace, on its own thread, unless somebody else is just closing it: what <c>Dispose</c> takes away, a close that is under
    /// way on another thread still needs, and would come to nothing without it.
    /// </summary>
    internal void Close()
    {
        _runspace?.Close();
        if (!IsBeingClosed)
        {
            _runspace?.Dispose();
        }
    }

    /// <summary>From another thread, which may be held up. It counts as a stop: closing stops the pipeline, which may come back just then.</summary>
    internal void CloseFromOutside()
    {
        lock (_lock)
        {
            _stops++;
        }

        try
        {
            Close();
        }
        finally
        {
            EndStop();
        }
    }

    // What Retire waits for.
    private void EndStop()
    {
        lock (_lock)
        {
            _stops--;
            Monitor.PulseAll(_lock);
        }
    }
}
