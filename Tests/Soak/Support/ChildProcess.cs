using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

namespace C10kServer.Soak.Tests.Support;

/// <summary>A .NET program in a process of its own, whose output is read line by line. It does not outlive this object.</summary>
internal sealed class ChildProcess : IDisposable
{
    // The muxer of the runtime that this process runs on: PATH may hold another, or none.
    private static readonly string Dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));

    private readonly Process _process;
    private readonly BlockingCollection<string> _lines = [];
    private readonly StringBuilder _errors = new();

    internal ChildProcess(string assembly, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Dotnet, ["exec", assembly, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // A pwsh that reports to its makers opens sockets of its own; nor is a test to send anything anywhere.
        start.Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Add(line.Data);
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                _errors.AppendLine(line.Data);
            }
        };
        _process.Start();
        Id = _process.Id;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    internal int Id { get; }

    internal bool HasEnded => _process.HasExited;

    internal int ExitCode => _process.ExitCode;

    /// <summary>What it has written to standard error.</summary>
    internal string Errors
    {
        get
        {
            lock (_errors)
            {
                return _errors.ToString();
            }
        }
    }

    internal static string Metadata(string key) =>
        typeof(ChildProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;

    internal void WriteLine(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    internal Answer ReadLine(TimeSpan patience)
    {
        if (!_lines.TryTake(out string? line, patience))
        {
            Assert.Fail($"no line of output within {patience.TotalSeconds} s{(HasEnded ? $", it ended with {ExitCode}" : "")}; errors: {Errors}");
        }

        return new Answer(line!);
    }

    internal void WaitForEnd(TimeSpan patience)
    {
        Assert.True(_process.WaitForExit(patience), $"it did not end within {patience.TotalSeconds} s; errors: {Errors}");
    }

    /// <summary>Lets it come to its own end, as far as it does so within a moment.</summary>
    public void Dispose()
    {
        try
        {
            _process.StandardInput.Close();
            if (!_process.WaitForExit(TimeSpan.FromSeconds(5)))
            {
                _process.Kill();
                _process.WaitForExit(TimeSpan.FromSeconds(5));
            }
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or Win32Exception)
        {
            // It has ended by itself in between.
        }

        _process.Dispose();
        _lines.Dispose();
    }

    private void Add(string? line)
    {
        if (line is null)
        {
            _lines.CompleteAdding();
        }
        else
        {
            _lines.Add(line);
        }
    }
}
