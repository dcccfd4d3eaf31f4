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
    /// Stops the servers that the removing runspace started. The shell and the module's script both call this method; which of the
    /// two comes first depends on how the module was loaded.
    /// </summary>
    /// <param name="psModuleInfo">The module that is removed.</param>
    public void OnRemove(PSModuleInfo psModuleInfo)
    {
        if (Runspace.DefaultRunspace is Runspace runspace)
        {
            ModuleCopies.Forget(runspace);
            ServerRegistry.StopStartedBy(runspace.InstanceId);
        }
    }

    /// <summary>Why this assembly cannot serve one more import, as a sentence; null where it can. Called before a later import.</summary>
    /// <param name="moduleFolder">The folder of the copy that is imported.</param>
    /// <param name="assemblyFolder">The folder of its C10kServer.Cmdlets.dll.</param>
    public static string? RefuseImport(string moduleFolder, string assemblyFolder) =>
        ModuleCopies.Refuse(moduleFolder, assemblyFolder);

    /// <summary>
    /// Waits until no other runspace imports the module's types and views. True when the calling runspace has yet to import them.
    /// <see cref="EndViews"/> must follow, on the same thread.
    /// </summary>
    /// <param name="moduleFolder">The folder of the copy that is imported.</param>
    public static bool BeginViews(string moduleFolder)
    {
        ModuleViews.Enter();
        Runspace runspace = Runspace.DefaultRunspace;
        ModuleCopies.Remember(runspace, moduleFolder);
        return ModuleViews.AreMissing(runspace, moduleFolder);
    }

    /// <summary>Lets the next runspace import the types and views.</summary>
    public static void EndViews() => ModuleViews.Exit();
}
