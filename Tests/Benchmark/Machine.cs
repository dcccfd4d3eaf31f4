using System.Globalization;
using System.Runtime.InteropServices;

namespace C10kServer.Benchmark;

/// <summary>When, where and of what the figures are.</summary>
internal static class Machine
{
    internal static void Add(BenchmarkOptions options, Report report)
    {
        using var shell = new Shell();
        string powerShell = shell.Ask("[string]$PSVersionTable.PSVersion");
        string module = shell.Ask("[string](Get-Module C10kServer).Version");

        // Debug has the engine's assertions in it.
        string build = shell.Ask(
            "$assembly = [C10kServer.Server].Assembly; $assembly.GetCustomAttributes([Reflection.AssemblyConfigurationAttribute], " +
            "$false)[0].Configuration + ' build of ' + " +
            "[Diagnostics.FileVersionInfo]::GetVersionInfo($assembly.Location).ProductVersion");
        (string What, string Value)[] facts =
        [
            ("Date", DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
            ("Processor", $"{Value("/proc/cpuinfo", "model name")}, {Environment.ProcessorCount} processors"),
            ("Memory", $"{Kibibytes("/proc/meminfo", "MemTotal") / 1024.0 / 1024.0:0.0} GiB"),
            ("Kernel", $"{File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}, {RuntimeInformation.ProcessArchitecture}"),
            ("System", Value("/etc/os-release", "PRETTY_NAME").Trim('"')),
            (".NET", Environment.Version.ToString()),
            ("PowerShell", $"{powerShell}, in Tests/Host"),
            ("Module", $"{module}, {build}"),
            ("Compiler of the reference", options.Reference?.Compiler ?? "none, so there is no reference to compare with"),
        ];
        report.Paragraph(string.Join('\n', facts.Select(static fact => $"- {fact.What}: {fact.Value}")));
    }

    /// <summary>The value in a file of lines like "key : value" or "key=value".</summary>
    private static string Value(string path, string key) =>
        File.ReadLines(path).First(line => line.StartsWith(key, StringComparison.Ordinal)).Split([':', '='], 2)[1].Trim();

    private static double Kibibytes(string path, string key) =>
        double.Parse(Value(path, key).Split(' ')[0], CultureInfo.InvariantCulture);
}
