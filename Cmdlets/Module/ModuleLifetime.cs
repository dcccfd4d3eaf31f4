using System.ComponentModel;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace C10kServer;

/// <summary>The module's actions at its import and its removal. Not for use in scripts.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class ModuleLifetime : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    /// <summary>Makes it possible to find the engine. The first cmdlet that needs the engine loads it.</summary>
    public void OnImport() => EngineLoadContext.Hook();

    /// <summary>
    /// Stops the servers that were started by the runspace that removes the module. Both the shell and the module's script call this method.
    /// The way in which the module was loaded decides which call comes first.
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

    /// <summary>The reason why this assembly cannot serve another import, as a sentence. Null if it can. Called before a later import.</summary>
    /// <param name="moduleFolder">The folder of the copy that is imported.</param>
    /// <param name="assemblyFolder">The folder of its C10kServer.Cmdlets.dll.</param>
    public static string? RefuseImport(string moduleFolder, string assemblyFolder) =>
        ModuleCopies.Refuse(moduleFolder, assemblyFolder);

    /// <summary>
    /// Waits until no other runspace imports the module's types and views. Returns true if the calling runspace still has to import them. The
    /// caller must call <see cref="EndViews"/> afterwards, on the same thread.
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
