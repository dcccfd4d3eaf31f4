using System.Reflection;
using System.Runtime.Loader;

namespace C10kServer;

/// <summary>
/// Where the engine and what it needs are loaded: a private context over the folder dependencies beside the cmdlets' assembly, so that
/// another module's version of a library never becomes ours, nor ours another's.
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

    /// <summary>The engine, once a cmdlet has needed it.</summary>
    internal static Assembly? LoadedEngine => Instance.IsValueCreated ? Instance.Value.Assemblies.FirstOrDefault(IsEngine) : null;

    /// <summary>Where the engine is that belongs to the cmdlets in a folder.</summary>
    internal static string EnginePath(string cmdletFolder) => Path.Combine(cmdletFolder, Dependencies, EngineName + ".dll");

    /// <summary>Lets the shell's context find the engine, and only it. Cheap, and once for the process.</summary>
    /// <remarks>Never taken back: objects in users' hands outlive the module, and other runspaces may have it still.</remarks>
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
