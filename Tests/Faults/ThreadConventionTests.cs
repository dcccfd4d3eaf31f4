using System.Buffers.Binary;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace C10kServer.Faults.Tests;

/// <summary>An exception that leaves a thread ends the process, so every thread of the module is one with a last catch.</summary>
public class ThreadConventionTests
{
    private const byte NewObject = 0x73;

    [Fact]
    public void Every_thread_of_the_engine_is_an_EngineThread() =>
        Assert.Equal([$"{nameof(EngineThread)}.{nameof(EngineThread.Start)}"], MakersOfThreads(typeof(Server).Assembly.Location));

    [Fact]
    public void Every_thread_of_the_cmdlets_is_an_EngineThread() => Assert.Empty(MakersOfThreads(CmdletsPath()));

    /// <summary>The methods in whose code a Thread or a Timer is made, or a Task is run.</summary>
    private static string[] MakersOfThreads(string path)
    {
        using var file = new PEReader(File.OpenRead(path));
        MetadataReader metadata = file.GetMetadataReader();
        HashSet<int> makers = [.. from handle in metadata.MemberReferences
                                  let member = metadata.GetMemberReference(handle)
                                  where IsMaker(metadata, member)
                                  select MetadataTokens.GetToken(handle)];
        return [.. from handle in metadata.MethodDefinitions
                   let method = metadata.GetMethodDefinition(handle)
                   where method.RelativeVirtualAddress != 0
                       && Calls(file.GetMethodBody(method.RelativeVirtualAddress).GetILBytes()!, makers)
                   let type = metadata.GetTypeDefinition(method.GetDeclaringType())
                   select $"{metadata.GetString(type.Name)}.{metadata.GetString(method.Name)}"];
    }

    private static bool IsMaker(MetadataReader metadata, MemberReference member)
    {
        if (member.Parent.Kind != HandleKind.TypeReference)
        {
            return false;
        }

        TypeReference type = metadata.GetTypeReference((TypeReferenceHandle)member.Parent);
        return (metadata.GetString(type.Namespace), metadata.GetString(type.Name), metadata.GetString(member.Name)) is
            ("System.Threading", "Thread" or "Timer", ".ctor") or
            ("System.Threading.Tasks", "Task", "Run") or
            ("System.Threading.Tasks", "TaskFactory", "StartNew");
    }

    // A token that stands where it would be an operand: no other bytes of these two assemblies look like it.
    private static bool Calls(byte[] code, HashSet<int> makers)
    {
        const byte Call = 0x28;
        const byte CallVirtual = 0x6F;
        for (int i = 0; i + 5 <= code.Length; i++)
        {
            if (code[i] is NewObject or Call or CallVirtual && makers.Contains(BinaryPrimitives.ReadInt32LittleEndian(code.AsSpan(i + 1))))
            {
                return true;
            }
        }

        return false;
    }

    private static string CmdletsPath()
    {
        string manifest = typeof(ThreadConventionTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(static a => a.Key == "Manifest").Value!;
        return Path.Combine(Path.GetDirectoryName(manifest)!, "bin", "C10kServer.Cmdlets.dll");
    }
}
