using System.Reflection;
using System.Runtime.Loader;

namespace C10kServer;

/// <summary>
/// The private load context of the engine and its dependencies. It loads from the folder "dependencies" beside the cmdlets' assembly, so that
/// this module never uses another module's version of a library, and another module never uses this module's version.
/// </summary>
internal sealed class EngineLoadContext : AssemblyLoadContext
{
    private const string EngineName = "C10kServer.Engine";
    private const string Dependencies = "dependencies";

    private static readonly Lazy<EngineLoadContext> Instance = new(() => new EngineLoadContext());
    private static int _hooked;

    private readonly string _folder =
        Path.Combine(Path.GetDirectoryName(typeof(EngineLoadContext).Assembly.Location)!, Dependencies);

    private EngineLoadContext() : base("C10kServer")
    {
    }

    /// <summary>The engine's assembly. Null until a cmdlet has needed the engine.</summary>
    internal static Assembly? LoadedEngine => Instance.IsValueCreated ? Instance.Value.Assemblies.FirstOrDefault(IsEngine) : null;

    /// <summary>The path of the engine that belongs to the cmdlets in a folder.</summary>
    internal static string EnginePath(string cmdletFolder) => Path.Combine(cmdletFolder, Dependencies, EngineName + ".dll");

    /// <summary>Lets the shell's context find the engine, and nothing else. The call is cheap, and has an effect once in the process.</summary>
    /// <remarks>
    /// The hook is never removed, because objects that users hold outlive the module, and other runspaces may still have the module.
    /// </remarks>
    internal static void Hook()
    {
        if (Interlocked.Exchange(ref _hooked, 1) == 0)
        {
            Default.Resolving += ResolveEngine;
        }
    }

    /// <inheritdoc/>
    protected override Assembly? Load(AssemblyName assemblyName)
    {
        string path = Path.Combine(_folder, assemblyName.Name + ".dll");
        return File.Exists(path) ? LoadFromAssemblyPath(path) : null;
    }

    private static bool IsEngine(Assembly assembly) => assembly.GetName().Name == EngineName;

    private static Assembly? ResolveEngine(AssemblyLoadContext context, AssemblyName assemblyName) =>
        assemblyName.Name == EngineName ? Instance.Value.LoadFromAssemblyName(assemblyName) : null;
}
