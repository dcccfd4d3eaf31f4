using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace C10kServer.Faults.Tests;

/// <summary>What these tests stand on: the engine calls libc alone, and leaves to others where that is found.</summary>
public sealed class ImportTests : IDisposable
{
    private readonly PEReader _file = new(File.OpenRead(typeof(Server).Assembly.Location));
    private readonly MetadataReader _metadata;

    public ImportTests() => _metadata = _file.GetMetadataReader();

    [Fact]
    public void The_engine_imports_libc_under_exactly_this_name_and_nothing_else()
    {
        int count = _metadata.GetTableRowCount(TableIndex.ModuleRef);
        Assert.Equal(
            ["libc"],
            from row in Enumerable.Range(1, count)
            let module = MetadataTokens.ModuleReferenceHandle(row)
            select _metadata.GetString(_metadata.GetModuleReference(module).Name));
    }

    [Fact]
    public void The_engine_neither_resolves_imports_itself_nor_loads_libraries() =>
        Assert.DoesNotContain(
            "NativeLibrary", from type in _metadata.TypeReferences select _metadata.GetString(_metadata.GetTypeReference(type).Name));

    [Fact]
    public void Every_call_that_the_engine_imports_goes_through_the_shim()
    {
        Shim.Require();
        string[] calls = [.. from method in _metadata.MethodDefinitions
                             let import = _metadata.GetMethodDefinition(method).GetImport()
                             where !import.Module.IsNil
                             select _metadata.GetString(import.Name)];
        Assert.Contains("accept4", calls);
        Assert.All(calls, static call => Assert.True(Shim.Has(call), $"shim.c has no {call}"));
    }

    public void Dispose() => _file.Dispose();
}
