using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer.Scripting;

/// <summary>
/// The runspace of a <see cref="HandlerThread"/>, and the one pipeline that runs in it at a time.
/// <para>
/// Threads: the runspace is opened, used and closed on its handler's thread. <see cref="Stop"/>, <see cref="CloseFromOutside"/> and
/// <see cref="IsOpen"/> may be called from any thread. A pipeline is disposed of only while no thread is stopping it, because a stop fails when
/// its pipeline is disposed of.
/// </para>
/// </summary>
internal sealed class HandlerRunspace(string name)
{
    // Guards the pipeline, and the number of threads that are stopping it.
    private readonly object _lock = new();
    private PowerShell? _pipeline;
    private int _stops;
    private volatile Runspace? _runspace;

    /// <summary>Whether the runspace is open. A shell that ends waits for the pipelines of open runspaces.</summary>
    internal bool IsOpen => _runspace?.RunspaceStateInfo.State is RunspaceState.Opening or RunspaceState.Opened;

    // Whether code outside of the pool is closing the runspace. That close waits for the end of the runspace's pipelines.
    private bool IsBeingClosed => _runspace?.RunspaceStateInfo.State == RunspaceState.Closing;

    /// <summary>Makes the runspace on the calling thread, which becomes the thread of its pipelines.</summary>
    /// <param name="code">The code that the handler runs; its <c>$using:</c> values and its location are set in the runspace.</param>
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
            // The location existed when the server started. A thread that replaces another one must be made even if the location is gone by then.
            runspace.SessionStateProxy.Path.SetLocation(WildcardPattern.Escape(code.Location));
        }
    }

    /// <summary>
    /// Imports the modules with a pipeline, because a pipeline can be stopped and the opening of a runspace cannot. Returns the errors that
    /// did not end the import.
    /// </summary>
    /// <param name="modules">The modules' names.</param>
    /// <param name="isEnding">Tells whether the thread must end instead of importing.</param>
    /// <exception cref="PipelineStoppedException">The import was stopped, or the thread must end.</exception>
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

    /// <summary>
    /// Makes a pipeline in the runspace. From now on <see cref="Stop"/> stops it. The caller must call <see cref="Retire"/> for it.
    /// </summary>
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
    /// Ends the pipeline once no thread is stopping it any more. A thread outside of the pool that is closing the runspace stops the
    /// pipeline, too, and must not be waited for. In that case the pipeline is left to the garbage collector.
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

    /// <summary>Stops the running pipeline, if there is one. May be called from any thread, and may block that thread.</summary>
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
    /// Closes the runspace, on its own thread, and disposes of it. It is not disposed of while another thread is closing it, because that
    /// close still needs what <c>Dispose</c> removes, and would never complete without it.
    /// </summary>
    internal void Close()
    {
        _runspace?.Close();
        if (!IsBeingClosed)
        {
            _runspace?.Dispose();
        }
    }

    /// <summary>
    /// Closes the runspace from another thread, which may be blocked by that. The close counts as a stop, because it stops the pipeline, and
    /// the pipeline may return just then.
    /// </summary>
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

    // Retire waits for this.
    private void EndStop()
    {
        lock (_lock)
        {
            _stops--;
            Monitor.PulseAll(_lock);
        }
    }
}
