using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer;

/// <summary>
/// The import of the module's types and views, one runspace at a time. Runspaces of a pool share the list of type and format files, and
/// PowerShell reads it without a lock: imports at the same time fail with "Collection was modified".
/// </summary>
internal static class ModuleViews
{
    // Any type that the module's types file names.
    private const string Probe = "C10kServer.Sample";

    // Longer than any import takes. A runspace that waits in vain imports all the same, with PowerShell's own risk.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static readonly object Gate = new();

    internal static void Enter() => Monitor.TryEnter(Gate, Patience);

    internal static void Exit()
    {
        if (Monitor.IsEntered(Gate))
        {
            Monitor.Exit(Gate);
        }
    }

    /// <summary>
    /// True when the runspace's table of types lacks the module's. What the shared list says of another runspace is taken out of the
    /// list then, because the shell loads no file that is in the list, not even into a runspace that has never seen the file.
    /// </summary>
    internal static bool AreMissing(Runspace runspace, string moduleFolder)
    {
        var probe = new PSObject();
        probe.TypeNames.Insert(0, Probe);
        if (probe.Members["PSStandardMembers"] is PSMemberSet members && members.Members["SerializationDepth"] is not null)
        {
            return false;
        }

        InitialSessionState state = runspace.InitialSessionState;
        state.Types.Remove(Path.Combine(moduleFolder, "Formats", "C10kServer.types.ps1xml"), null);
        string views = Path.Combine(moduleFolder, "Formats", "C10kServer.format.ps1xml");
        for (int i = state.Formats.Count - 1; i >= 0; i--)
        {
            if (state.Formats[i].FileName == views)
            {
                // By index, because the entries of format files have no names.
                state.Formats.RemoveItem(i);
            }
        }

        return true;
    }
}
