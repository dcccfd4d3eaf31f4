using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;

namespace C10kServer.PesterTests;

/// <summary>A *.Tests.ps1 and what a host process of its own says about it.</summary>
internal sealed class TestFile
{
    private static readonly ConcurrentDictionary<string, Lazy<TestFile>> Finished = new();

    private TestFile(string path, bool discover)
    {
        var limit = TimeSpan.FromSeconds(discover ? 60 : Seconds("C10KSERVER_PESTER_TIMEOUT", 300));
        var resultPath = Path.Combine(Path.GetTempPath(), $"pester-{Guid.NewGuid():n}.jsonl");
        List<string> arguments = ["-NoModule", "-NonInteractive", "-File", Runner, "-Path", path, "-ResultPath", resultPath];
        if (discover)
        {
            arguments.Add("-Discover");
        }

        AddFilter(arguments, "-Tag", "C10KSERVER_PESTER_TAG");
        AddFilter(arguments, "-ExcludeTag", "C10KSERVER_PESTER_EXCLUDE_TAG");
        try
        {
            var process = HostProcess.Run(limit, [.. arguments]);
            Output = process.Output;
            Results = File.Exists(resultPath) ? [.. File.ReadLines(resultPath).Select(Parse)] : [];
            EndedWell = process.ExitCode is 0 or 1;
            End = process.ExitCode is { } code
                ? $"The host process ended with code {code}."
                : $"The host process was killed: it ran for longer than {limit.TotalSeconds:0} s.";
        }
        finally
        {
            File.Delete(resultPath);
        }
    }

    /// <summary>The results in the order of the file; several may have the same name.</summary>
    public IReadOnlyList<TestResult> Results { get; }

    public string Output { get; }

    /// <summary>Whether the runner ended the process itself: a crash on the way out is a failure of tests that had passed.</summary>
    public bool EndedWell { get; }

    /// <summary>How the process ended, as a sentence.</summary>
    public string End { get; }

    private static string Runner { get; } = Path.Combine(HostProcess.RepositoryRoot, "Tests/Host/Invoke-TestFile.ps1");

    public static IEnumerable<string> All()
    {
        var tests = Path.Combine(HostProcess.RepositoryRoot, "Tests");
        return Directory.EnumerateFiles(tests, "*.Tests.ps1", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/bin/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal);
    }

    public static TestFile Discover(string path) => new(path, discover: true);

    /// <summary>Runs the file, once in this process however many of its tests ask.</summary>
    public static TestFile Run(string path) =>
        Finished.GetOrAdd(path, p => new Lazy<TestFile>(() => new TestFile(p, discover: false))).Value;

    private static int Seconds(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var seconds) && seconds > 0
            ? seconds
            : otherwise;

    private static void AddFilter(List<string> arguments, string parameter, string variable)
    {
        if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } tag)
        {
            arguments.Add(parameter);
            arguments.Add(tag);
        }
    }

    private static TestResult Parse(string line) =>
        JsonSerializer.Deserialize<TestResult>(line) ?? throw new InvalidDataException($"'{line}' is no result.");
}
