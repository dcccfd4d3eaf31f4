using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>A process that the benchmark has started, and what the kernel knows of it. It is ended with this object.</summary>
internal sealed class ChildProcess : IDisposable
{
    private static readonly ConcurrentDictionary<ChildProcess, bool> Running = [];

    private readonly Process _process;

    // Also where the benchmark is interrupted, no server is left behind.
    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += static (_, _) =>
    {
        foreach (ChildProcess process in Running.Keys)
        {
            process.Dispose();
        }
    };

    internal ChildProcess(IReadOnlyList<string> commandLine)
    {
        // What it inherits of this thread are the processors that it may run on.
        var start = new ProcessStartInfo(commandLine[0], commandLine.Skip(1)) { RedirectStandardInput = true, RedirectStandardOutput = true };

        // A pwsh that reports to its makers does so at times of its own, and allocates meanwhile; nor is a test to send anything anywhere.
        start.Environment["POWERSHELL_TELEMETRY_OPTOUT"] = "1";
        _process = Process.Start(start)!;
        Running[this] = true;
    }

    internal int Id => _process.Id;

    internal bool HasExited => _process.HasExited;

    internal StreamWriter Input => _process.StandardInput;

    internal StreamReader Output => _process.StandardOutput;

    internal TimeSpan CpuTime => Libc.CpuTime(_process.Id);

    /// <summary>Counted page by page: VmRSS in /proc/PID/status is off by what the processors have not yet added up.</summary>
    internal long ResidentBytes
    {
        get
        {
            string rss = File.ReadLines($"/proc/{_process.Id}/smaps_rollup")
                .First(static line => line.StartsWith("Rss:", StringComparison.Ordinal));
            return 1024 * long.Parse(rss.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Waits for the end of one that ends by itself.</summary>
    internal void WaitForExit(TimeSpan timeout)
    {
        if (!_process.WaitForExit(timeout))
        {
            throw new TimeoutException($"{_process.StartInfo.FileName} has not ended within {timeout.TotalSeconds} s.");
        }
    }

    public void Dispose()
    {
        if (!Running.TryRemove(this, out _))
        {
            return;
        }

        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }
}
