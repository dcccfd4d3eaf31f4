using System.Management.Automation.Runspaces;
using System.Reflection;

namespace C10kServer;

/// <summary>
/// Stops all servers when pwsh begins to end, before it closes the runspaces of the process. pwsh closes the runspaces one by one, and waits
/// for the pipelines in each. The exit of the process stops servers, too, but comes only after that.
/// </summary>
internal static class ShellEnd
{
    // The runspace whose end closes all others. PowerShell does not publish it, and no host tells which one it is, because a thread job may
    // start a server. If it cannot be found, a shell that ends waits for a handler that is stuck, and for no other handler.
    private static readonly PropertyInfo? Primary =
        typeof(Runspace).GetProperty("PrimaryRunspace", BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic);

    private static readonly Lock Gate = new();
    private static Runspace? s_watched;

    /// <summary>Watches for the end of the shell. Must be called before anything gets a runspace of its own.</summary>
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
