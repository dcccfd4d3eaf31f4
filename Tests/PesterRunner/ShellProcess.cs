using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using C10kServer.Tests.Shared;

namespace C10kServer.PesterTests;

/// <summary>A run of pwsh, to its end or to a limit of time in which it could run.</summary>
/// <param name="ExitCode">What the process ended with, or null where it had to be killed.</param>
/// <param name="Output">Standard output and standard error, each in full.</param>
internal sealed record ShellProcess(int? ExitCode, string Output)
{
    public static string RepositoryRoot { get; } = Metadata("RepositoryRoot");

    // The muxer of the runtime that this process runs on: PATH may hold another, or none.
    private static string Dotnet { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));

    public static ShellProcess Run(TimeSpan limit, params string[] arguments)
    {
        var start = new ProcessStartInfo(Dotnet)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = RepositoryRoot,
        };

        // Its output goes into a report: no colours, and no sequences that would set up a terminal.
        start.Environment["NO_COLOR"] = "1";
        start.Environment["TERM"] = "dumb";
        start.Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";
        start.Environment["PSModulePath"] = $"{Metadata("ModulesFolder")}:{Environment.GetEnvironmentVariable("PSModulePath")}";
        foreach (var argument in (string[])["exec", Metadata("PowerShellAssembly"), "-NoProfile", "-NonInteractive", .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        var output = new StringBuilder();
        var error = new StringBuilder();
        using var process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(error, line.Data);
        process.Start();
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var ended = WaitForEnd(process, limit);
        if (ended)
        {
            // A child that was left behind may hold the pipes open; what it writes is not waited for.
            Task.Run(process.WaitForExit).Wait(TimeSpan.FromSeconds(2));
        }
        else
        {
            Kill(process);
        }

        return new ShellProcess(ended ? process.ExitCode : null, $"stdout:\n{Read(output)}\nstderr:\n{Read(error)}");
    }

    public static string Metadata(string key) =>
        typeof(ShellProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;

    // Of the time in which this process runs: one that stood still for a minute has not used up what the child was allowed.
    private static bool WaitForEnd(Process process, TimeSpan limit)
    {
        var watch = RunningWatch.StartNew();
        while (!process.WaitForExit(TimeSpan.FromSeconds(1)))
        {
            if (watch.Elapsed > limit)
            {
                return false;
            }
        }

        return true;
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            // It ended by itself in between.
            return;
        }

        process.WaitForExit(TimeSpan.FromSeconds(5));
    }

    private static void Append(StringBuilder text, string? line)
    {
        if (line is not null)
        {
            lock (text)
            {
                text.AppendLine(line);
            }
        }
    }

    private static string Read(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }
}
