using System.Management.Automation.Runspaces;
using System.Reflection;

namespace C10kServer;

/// <summary>
/// Stops all servers when pwsh begins to end, before it closes the runspaces of the process. It does that one by one and waits for what
/// runs in each; the exit of the process, which stops servers too, comes only after that.
/// </summary>
internal static class ShellEnd
{
    // The runspace whose end closes all others. The engine shows it to nobody, and no host tells: a server may be started by a thread job.
    // Where it cannot be had, a shell waits for a handler that is stuck, and for no other.
    private static readonly PropertyInfo? Primary =
        typeof(Runspace).GetProperty("PrimaryRunspace", BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic);

    private static readonly Lock Gate = new();
    private static Runspace? s_watched;

    /// <summary>Before something gets a runspace of its own.</summary>
    internal static void Watch()
    {
        if (Primary?.GetValue(null) is not Runspace runspace)
        {
            return;
        }

        lock (Gate)
        {
            if (s_watched != runspace)
            {
                s_watched = runspace;
                runspace.StateChanged += OnStateChanged;
            }
        }
    }

    private static void OnStateChanged(object? sender, RunspaceStateEventArgs e)
    {
        if (e.RunspaceStateInfo.State == RunspaceState.Closing)
        {
            ServerRegistry.StopAll();
        }
    }
}
