using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;

namespace C10kServer.PesterTests;

/// <summary>A run of Pester over test files in a process of its own, or a look for the tests that are in them.</summary>
internal sealed class TestRun
{
    private static readonly ConcurrentDictionary<string, Lazy<TestRun>> Finished = new();

    private static readonly (string Parameter, string Variable)[] Filters =
        [("-Tag", "C10KSERVER_PESTER_TAG"), ("-ExcludeTag", "C10KSERVER_PESTER_EXCLUDE_TAG")];

    private TestRun(IEnumerable<string> paths, bool discover)
    {
        var limit = TimeSpan.FromSeconds(discover ? 300 : Seconds("C10KSERVER_PESTER_TIMEOUT", 900));
        var resultPath = Path.Combine(Path.GetTempPath(), $"pester-{Guid.NewGuid():n}.jsonl");
        List<string> arguments = ["-File", Runner, "-PesterVersion", Version, "-ResultPath", resultPath];
        if (discover)
        {
            arguments.Add("-Discover");
        }

        foreach (var (parameter, variable) in Filters)
        {
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } tag)
            {
                arguments.AddRange([parameter, tag]);
            }
        }

        try
        {
            var process = ShellProcess.Run(limit, [.. arguments, .. paths]);
            Output = process.Output;
            Results = File.Exists(resultPath) ? [.. File.ReadLines(resultPath).Select(Parse)] : [];
            EndedWell = process.ExitCode is 0 or 1;
            End = process.ExitCode is { } code
                ? $"The shell ended with code {code}."
                : $"The shell was killed: it ran for longer than {limit.TotalSeconds:0} s.";
        }
        finally
        {
            File.Delete(resultPath);
        }
    }

    /// <summary>The results in the order of the files.</summary>
    public IReadOnlyList<TestResult> Results { get; }

    public string Output { get; }

    /// <summary>Whether the runner ended the process itself: a crash on the way out is a failure of tests that had passed.</summary>
    public bool EndedWell { get; }

    /// <summary>How the process ended, as a sentence.</summary>
    public string End { get; }

    private static string Runner { get; } = Path.Combine(ShellProcess.RepositoryRoot, "Tests/PesterRunner/Invoke-TestFile.ps1");

    private static string Version =>
        Environment.GetEnvironmentVariable("C10KSERVER_PESTER_VERSION") is { Length: > 0 } version
            ? version
            : ShellProcess.Metadata("PesterVersion");

    /// <summary>Whether only some of the tests are asked for, so that a file may have none.</summary>
    public static bool IsFiltered => Filters.Any(f => Environment.GetEnvironmentVariable(f.Variable) is { Length: > 0 });

    public static IReadOnlyList<string> Files()
    {
        var tests = Path.Combine(ShellProcess.RepositoryRoot, "Tests");
        return [.. Directory.EnumerateFiles(tests, "*.Tests.ps1", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/bin/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>Looks for the tests of all files, in one process: starting a shell for each takes longer than looking.</summary>
    public static TestRun Discover() => new(Files(), discover: true);

    /// <summary>Runs the file, once in this process however many of its tests ask.</summary>
    public static TestRun Of(string path) =>
        Finished.GetOrAdd(path, p => new Lazy<TestRun>(() => new TestRun([p], discover: false))).Value;

    private static int Seconds(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var seconds) && seconds > 0
            ? seconds
            : otherwise;

    private static TestResult Parse(string line) =>
        JsonSerializer.Deserialize<TestResult>(line) ?? throw new InvalidDataException($"'{line}' is no result.");
}
