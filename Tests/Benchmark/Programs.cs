using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;

namespace C10kServer.Benchmark;

/// <summary>The programs of this repository, and of the machine, that the benchmark runs.</summary>
internal static class Programs
{
    internal static string RepositoryRoot { get; } = Metadata("RepositoryRoot");

    /// <summary>The command line of the tests' shell, without its options.</summary>
    internal static IReadOnlyList<string> PowerShell { get; } = [.. Dotnet, Metadata("PowerShellAssembly")];

    /// <summary>The command line of the tests' client.</summary>
    internal static IReadOnlyList<string> Clients { get; } = [.. Dotnet, Metadata("ClientsAssembly")];

    /// <summary>The command line of this program.</summary>
    internal static IReadOnlyList<string> Self { get; } = [.. Dotnet, typeof(Programs).Assembly.Location];

    private static string[] Dotnet =>
        Path.GetFileNameWithoutExtension(Environment.ProcessPath!) == "dotnet" ? [Environment.ProcessPath!, "exec"] : ["dotnet", "exec"];

    /// <summary>What a program says on standard output, or null where there is no such program or it fails.</summary>
    internal static string? Ask(string program, params string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0)
            {
                Console.Error.WriteLine(error.Result);
            }

            return process.ExitCode == 0 ? output.Trim() : null;
        }
        catch (Win32Exception)
        {
            return null;
        }
    }

    private static string Metadata(string key) =>
        typeof(Programs).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;
}
