using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace C10kServer.Faults.Tests;

/// <summary>
/// The library that stands in for libc in the engine's imports, see shim.c. Put in place before the engine's first call; this
/// assembly's own "libc" and the runtime's stay the real one.
/// </summary>
internal static unsafe partial class Shim
{
    internal const int OneByte = -1;

    /// <summary>For connect: the socket is bound to the address that it connects to, as the kernel does by chance.</summary>
    internal const int ToItself = -2;

    private const string Library = "c10kfaults";

    private static readonly string Path = System.IO.Path.Combine(AppContext.BaseDirectory, $"lib{Library}.so");

    internal static bool IsBuilt { get; } = File.Exists(Path);

    /// <summary>Skips the calling test where the shim could not be built.</summary>
    internal static void Require() =>
        Assert.SkipUnless(IsBuilt, "The shim is not built: no C compiler (gcc) was found when this project was built.");

    /// <summary>Sends an assembly's "libc" to the shim. Once an assembly, and before its first call.</summary>
    internal static void Redirect(Assembly assembly)
    {
        if (IsBuilt)
        {
            NativeLibrary.SetDllImportResolver(assembly, static (name, _, _) => name == "libc" ? NativeLibrary.Load(Path) : 0);
        }
    }

    /// <summary>Whether the shim has a function of that name; a name that it does not have would be looked up in libc itself.</summary>
    internal static bool Has(string call) => KindOf(call) >= 0;

    /// <summary>From now on, calls fail as the schedule says. The counts begin anew.</summary>
    internal static Armed Arm(string call, int error, Schedule schedule)
    {
        int kind = KindOf(call);
        Assert.True(kind >= 0, $"the shim has no {call}");
        ArmKind(kind, schedule.Mode, schedule.N, error, schedule.Seed, schedule.Limit);
        return new Armed(kind);
    }

    /// <summary>Descriptors that the engine has opened and not closed.</summary>
    [LibraryImport(Library, EntryPoint = "shim_open_count")]
    internal static partial int OpenCount();

    /// <summary>Descriptors that were closed twice, closed without being the engine's, or closed behind its back.</summary>
    [LibraryImport(Library, EntryPoint = "shim_violations")]
    internal static partial int Violations();

    /// <summary>Empties the ledger, so that a test that failed does not make the next one fail.</summary>
    [LibraryImport(Library, EntryPoint = "shim_forget")]
    internal static partial void Forget();

    internal static string Describe()
    {
        byte* text = stackalloc byte[4096];
        DescribeInto(text, 4096);
        return Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
    }

    internal static void AssertNothingLeft()
    {
        Assert.True(Violations() == 0, Describe());
        Eventually.True(static () => OpenCount() == 0, Describe);
    }

#pragma warning disable CA2255 // the engine must not have called libc before: this is what a module initializer is for
    [ModuleInitializer]
    internal static void Install() => Redirect(typeof(Server).Assembly);
#pragma warning restore CA2255

    [LibraryImport(Library, EntryPoint = "shim_kind", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int KindOf(string name);

    [LibraryImport(Library, EntryPoint = "shim_arm")]
    private static partial void ArmKind(int kind, int mode, int n, int error, ulong seed, nint limit);

    [LibraryImport(Library, EntryPoint = "shim_disarm")]
    private static partial void Disarm(int kind);

    [LibraryImport(Library, EntryPoint = "shim_calls")]
    private static partial nint Calls(int kind);

    [LibraryImport(Library, EntryPoint = "shim_injected")]
    private static partial nint Injected(int kind);

    [LibraryImport(Library, EntryPoint = "shim_describe")]
    private static partial void DescribeInto(byte* text, int size);

    /// <summary>A schedule that is in force until this is disposed of; its counts can be read after that, until the next one.</summary>
    internal sealed class Armed(int kind) : IDisposable
    {
        internal long Calls => Shim.Calls(kind);

        internal long Injected => Shim.Injected(kind);

        public void Dispose() => Disarm(kind);
    }
}
