using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace C10kServer.Faults.Tests;

/// <summary>A PowerShell with the module in a process of its own, for what may end a process. It runs a script, which says "ok" at its end.</summary>
internal sealed class ShellProcess : IDisposable
{
    private static readonly string Dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));

    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly CancellationTokenSource _patience = new(TimeSpan.FromMinutes(15));

    private ShellProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    internal bool HasEnded => _process.HasExited;

    /// <param name="script">The metadata of this assembly that has the script's path.</param>
    /// <param name="arguments">The script's arguments, after the manifest's path.</param>
    /// <param name="with">Changes the start, its environment above all.</param>
    internal static ShellProcess Start(string script, IEnumerable<string> arguments, Action<ProcessStartInfo> with)
    {
        var start = new ProcessStartInfo(
            Dotnet,
            ["exec", Metadata("PowerShellAssembly"), "-NoProfile", "-NonInteractive", "-File", Metadata(script), Metadata("Manifest"), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";
        with(start);
        return new ShellProcess(Process.Start(start)!);
    }

    /// <summary>The number that the script prints next. Fails with what the script says instead.</summary>
    internal async Task<int> ReadNumber()
    {
        string? line = await _process.StandardOutput.ReadLineAsync(_patience.Token);
        if (!int.TryParse(line, out int number))
        {
            Assert.Fail($"{line}\n{await _process.StandardOutput.ReadToEndAsync(_patience.Token)}{await _errors}");
        }

        return number;
    }

    internal async Task WriteLine(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync(_patience.Token);
    }

    /// <summary>The sockets that the shell has open.</summary>
    internal int CountSockets() => Directory.EnumerateFileSystemEntries($"/proc/{_process.Id}/fd")
        .Count(static link => new FileInfo(link).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);

    /// <summary>Sends the shell a signal, by its name.</summary>
    internal void Signal(string name)
    {
        using Process kill = Process.Start("kill", [$"-{name}", $"{_process.Id}"]);
        kill.WaitForExit();
    }

    /// <summary>Waits for the end. Fails with what the script has said, unless that is "ok" alone.</summary>
    internal async Task AssertOk()
    {
        string output = await _process.StandardOutput.ReadToEndAsync(_patience.Token);
        await _process.WaitForExitAsync(_patience.Token);
        string text = $"{output}{await _errors}";
        Assert.True(_process.ExitCode == 0 && text.Trim() == "ok", $"exit code {_process.ExitCode}: {text}");
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
        _patience.Dispose();
    }

    private static string Metadata(string key) =>
        typeof(ShellProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;
}
