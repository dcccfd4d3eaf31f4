using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer;

/// <summary>
/// Lets one runspace at a time import the module's types and views. The runspaces of a pool share the list of type and format files, and
/// PowerShell reads that list without a lock, so that simultaneous imports fail with "Collection was modified".
/// </summary>
internal static class ModuleViews
{
    // This can be any type that the module's types file names.
    private const string Probe = "C10kServer.Sample";

    // This is longer than any import takes. A runspace that has waited in vain imports all the same, with the risk that PowerShell has by itself.
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
    /// Whether the runspace's table of types lacks the module's types. If it does, the entries that another runspace has made are removed
    /// from the shared list, because the shell does not load a file that is in the list, not even into a runspace that has never seen the file.
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
                // Entries are removed by index, because the entries of format files have no names.
                state.Formats.RemoveItem(i);
            }
        }

        return true;
    }
}
