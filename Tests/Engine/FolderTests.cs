using System.Reflection;
using System.Text.RegularExpressions;
using Mono.Cecil;
using Mono.Cecil.Cil;

namespace C10kServer.Engine.Tests;

/// <summary>
/// The folders of Engine/ are its architecture, and this holds who may use whom: read from the assembly's metadata and code, with the folder of
/// each type from the sources.
/// </summary>
public partial class FolderTests
{
    private const string Top = "";

    private static readonly string[] Leaves = ["Text", "Native", "Timing", "Memory", "Logging"];
    private static readonly string[] Core = ["Connections", "Workers", "Accepting", "Inspection", "Observing"];
    private static readonly string[] Areas = ["Sessions", "Handlers", "Load"];

    // Of the top level, what every folder of the core may see.
    private static readonly string[] SharedTop = ["ServerOptions", "ServerState", "ServerStartException", "StartFailure"];

    // What the rules forbid and the code still does. Who takes one away strikes it out here; nobody adds one.
    private static readonly string[] Owed =
    [
        "Accepting/AcceptLoop uses /Server",
        "Accepting/Acceptor uses /Server",
        "Connections/Connection uses Sessions/Session",
        "Connections/Connection uses Sessions/SessionSignal",
        "Inspection/KeptTag uses Sessions/Session",
        "Observing/Observer uses /Server",
        "Observing/ObserverList uses /Server",
        "Observing/ServerEvent uses /Server",
        "Observing/ServerMeter uses /Server",
        "Observing/SubscriberThread uses /Server",
        "Sessions/Session uses /Server",
        "Workers/Worker uses /Server",
        "Workers/Worker uses Sessions/Session",
        "Workers/Worker uses Sessions/SessionPublisher",
        "Workers/Worker uses Sessions/SessionScheduler",
        "Workers/WorkerPool uses /Server",
    ];

    [Fact]
    public void No_folder_uses_one_that_it_may_not_use()
    {
        Dictionary<string, string> folders = FoldersByType();
        using var assembly = AssemblyDefinition.ReadAssembly(typeof(Server).Assembly.Location);
        var forbidden = new SortedSet<string>(StringComparer.Ordinal);
        foreach (TypeDefinition type in assembly.MainModule.Types.Where(type => folders.ContainsKey(type.Name)))
        {
            string from = folders[type.Name];
            foreach (string used in UsedBy(type).Where(folders.ContainsKey))
            {
                if (from != Top && !MaySee(from, folders[used], used))
                {
                    forbidden.Add($"{from}/{type.Name} uses {folders[used]}/{used}");
                }
            }
        }

        Assert.Equal([.. Owed.Order(StringComparer.Ordinal)], forbidden);
    }

    [Fact]
    public void Every_type_of_the_engine_stands_in_a_file_of_a_folder_that_has_rules()
    {
        Dictionary<string, string> folders = FoldersByType();
        using var assembly = AssemblyDefinition.ReadAssembly(typeof(Server).Assembly.Location);
        Assert.Empty(assembly.MainModule.Types
            .Where(static type => type.Namespace.StartsWith("C10kServer", StringComparison.Ordinal) && !type.Name.StartsWith('<'))
            .Where(type => !folders.ContainsKey(Plain(type.Name)))
            .Select(static type => type.Name));
        Assert.Empty(folders.Values.Distinct().Except([Top, .. Leaves, .. Core, .. Areas]));
    }

    private static bool MaySee(string from, string folder, string type)
    {
        int leaf = Array.IndexOf(Leaves, folder);
        if (from == folder)
        {
            return true;
        }

        if (Leaves.Contains(from))
        {
            return leaf >= 0 && leaf < Array.IndexOf(Leaves, from);
        }

        if (leaf >= 0)
        {
            return true;
        }

        return from != "Load" && (Core.Contains(folder) || (folder == Top && SharedTop.Contains(type)));
    }

    /// <summary>The names of the engine's types that a type names anywhere: in its bases, members, signatures and code, those of its nested types too.</summary>
    private static HashSet<string> UsedBy(TypeDefinition type)
    {
        var used = new HashSet<string>();
        void Add(TypeReference? reference)
        {
            switch (reference)
            {
                case null or GenericParameter:
                    return;
                case GenericInstanceType generic:
                    generic.GenericArguments.ToList().ForEach(Add);
                    break;
            }

            if (reference is TypeSpecification specification)
            {
                Add(specification.ElementType);
                return;
            }

            TypeReference outermost = reference;
            while (outermost.DeclaringType is { } declaring)
            {
                outermost = declaring;
            }

            used.Add(Plain(outermost.Name));
        }

        void AddMethod(MethodReference method)
        {
            Add(method.DeclaringType);
            Add(method.ReturnType);
            method.Parameters.ToList().ForEach(parameter => Add(parameter.ParameterType));
            (method as GenericInstanceMethod)?.GenericArguments.ToList().ForEach(Add);
        }

        Add(type.BaseType);
        type.Interfaces.ToList().ForEach(implemented => Add(implemented.InterfaceType));
        type.Fields.ToList().ForEach(field => Add(field.FieldType));
        foreach (MethodDefinition method in type.Methods)
        {
            AddMethod(method);
            if (method.HasBody)
            {
                method.Body.Variables.ToList().ForEach(variable => Add(variable.VariableType));
                method.Body.ExceptionHandlers.ToList().ForEach(handler => Add(handler.CatchType));
                foreach (Instruction instruction in method.Body.Instructions)
                {
                    switch (instruction.Operand)
                    {
                        case TypeReference named:
                            Add(named);
                            break;
                        case FieldReference field:
                            Add(field.DeclaringType);
                            Add(field.FieldType);
                            break;
                        case MethodReference called:
                            AddMethod(called);
                            break;
                    }
                }
            }
        }

        foreach (TypeDefinition nested in type.NestedTypes)
        {
            used.UnionWith(UsedBy(nested));
        }

        used.Remove(Plain(type.Name));
        return used;
    }

    // A generic type's name without the number of its parameters.
    private static string Plain(string name) => name.Split('`')[0];

    private static Dictionary<string, string> FoldersByType()
    {
        string engine = typeof(FolderTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(static a => a.Key == "EngineFolder").Value!;
        var folders = new Dictionary<string, string>();
        foreach (string path in Directory.EnumerateFiles(engine, "*.cs", SearchOption.AllDirectories))
        {
            string[] parts = Path.GetRelativePath(engine, path).Split('/');
            if (parts[0] is "bin" or "obj")
            {
                continue;
            }

            string folder = parts.Length == 1 ? Top : parts[0];
            foreach (Match match in Declaration().Matches(File.ReadAllText(path)))
            {
                string name = match.Groups["name"].Value;
                Assert.True(folders.TryAdd(name, folder) || folders[name] == folder, $"{name} stands in {folders[name]} and in {folder}");
            }
        }

        return folders;
    }

    // At the margin, because nested types are their outer type's.
    [GeneratedRegex(@"^(public|internal)( static| sealed| abstract| readonly| unsafe| partial| ref)* (class|struct|interface|enum|record struct|record|delegate [\w\?\[\]<>]+) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();
}
