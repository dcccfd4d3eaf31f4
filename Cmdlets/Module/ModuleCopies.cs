using System.Management.Automation.Runspaces;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Runtime.CompilerServices;

namespace C10kServer;

/// <summary>Knows which copy of the module each runspace has imported, and whether the loaded assemblies belong to another copy.</summary>
internal static class ModuleCopies
{
    private const string Cmdlets = "C10kServer.Cmdlets.dll";

    private static readonly ConditionalWeakTable<Runspace, string> Imported = [];

    private static Assembly Loaded => typeof(ModuleCopies).Assembly;

    internal static void Remember(Runspace runspace, string moduleFolder) => Imported.AddOrUpdate(runspace, moduleFolder);

    internal static void Forget(Runspace runspace) => Imported.Remove(runspace);

    /// <summary>The reason why the loaded assemblies cannot serve an import of the copy in a folder. Null if they can.</summary>
    internal static string? Refuse(string moduleFolder, string assemblyFolder)
    {
        if (!IsSameBuild(assemblyFolder))
        {
            return $"C10kServer cannot be imported from {moduleFolder}, because this process has loaded another build of it, from " +
                $"{Loaded.Location}, and cannot unload that: start a new PowerShell session, and import it there.";
        }

        return Runspace.DefaultRunspace is Runspace runspace && Imported.TryGetValue(runspace, out string? other) && other != moduleFolder
            ? $"C10kServer cannot be imported from {moduleFolder}, because this session has imported it from {other}: use that copy, or " +
                "remove it first, with Remove-Module C10kServer."
            : null;
    }

    private static bool IsSameBuild(string folder)
    {
        string own = Path.GetDirectoryName(Loaded.Location)!;
        Guid engine = EngineLoadContext.LoadedEngine?.ManifestModule.ModuleVersionId ?? BuildOf(EngineLoadContext.EnginePath(own));
        return BuildOf(Path.Combine(folder, Cmdlets)) == Loaded.ManifestModule.ModuleVersionId
            && BuildOf(EngineLoadContext.EnginePath(folder)) == engine;
    }

    /// <summary>
    /// The identity that the compiler gave to an assembly. Machine code that is compiled from the assembly has the same identity. Empty if
    /// the file does not exist.
    /// </summary>
    private static Guid BuildOf(string path)
    {
        if (!File.Exists(path))
        {
            return Guid.Empty;
        }

        using var image = new PEReader(File.OpenRead(path));
        MetadataReader metadata = image.GetMetadataReader();
        return metadata.GetGuid(metadata.GetModuleDefinition().Mvid);
    }
}
