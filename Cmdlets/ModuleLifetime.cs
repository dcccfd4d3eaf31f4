using System.ComponentModel;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer;

/// <summary>What happens when the module is imported and removed. Not for use in scripts.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class ModuleLifetime : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    /// <summary>Makes the engine findable. It is loaded by the first cmdlet that needs it.</summary>
    public void OnImport() => EngineLoadContext.Hook();

    /// <summary>
    /// Stops the servers that the removing runspace started. Called by the shell and by the module's script, whichever
    /// comes first: which of the two depends on how the module was loaded.
    /// </summary>
    /// <param name="psModuleInfo">The module that is removed.</param>
    public void OnRemove(PSModuleInfo psModuleInfo)
    {
        if (Runspace.DefaultRunspace is Runspace runspace)
        {
            ServerRegistry.StopStartedBy(runspace.InstanceId);
        }
    }
}
