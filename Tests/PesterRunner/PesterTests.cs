using Xunit;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace C10kServer.PesterTests;

/// <summary>Every It of every *.Tests.ps1 of the repository.</summary>
public sealed class PesterTests
{
    // A file's output is as long as its tests are many: the first test of it that fails shows it for all.
    private static readonly HashSet<string> Shown = [];

    private static readonly Lazy<IReadOnlyList<TheoryDataRow<string, int, string>>> Rows = new(() => [.. Discover()]);

    /// <summary>The tests as discovery finds them; what cannot be discovered is a test that fails.</summary>
    public static IEnumerable<TheoryDataRow<string, int, string>> Discovered() => Rows.Value;

    /// <summary>Runs the file, if no other test of it has yet, and reports this test's part of the result.</summary>
    /// <param name="path">The test file.</param>
    /// <param name="index">Which of the tests of the file.</param>
    /// <param name="discoveryFailure">Why the file has no tests, or an empty text.</param>
    [Theory]
    [MemberData(nameof(Discovered))]
    public void It(string path, int index, string discoveryFailure)
    {
        if (!string.IsNullOrEmpty(discoveryFailure))
        {
            Assert.Fail($"{path}: {discoveryFailure}");
        }

        var run = TestRun.Of(path);
        var result = run.Results.FirstOrDefault(r => r.Line > 0 && r.Index == index);
        switch (result?.Outcome)
        {
            case "Passed" when run.EndedWell:
                break;
            case "Skipped":
                Assert.Skip(string.IsNullOrEmpty(result.Message) ? "skipped" : result.Message);
                break;
            default:
                ShowOutput(path, run);
                Assert.Fail(result is null
                    ? $"{path}: the test has no result. {run.End}"
                    : $"{path}:{result.Line}: {result.Outcome}: {result.Message} {run.End}");
                break;
        }
    }

    private static IEnumerable<TheoryDataRow<string, int, string>> Discover()
    {
        var run = TestRun.Discover();
        foreach (var path in TestRun.Files())
        {
            var results = run.Results.Where(r => r.File == path).ToList();
            var failure = results.FirstOrDefault(r => r.Outcome != "Discovered")?.Message
                ?? (results.Count == 0 && !TestRun.IsFiltered ? $"No tests were found. {run.End}\n{run.Output}" : null);
            if (failure is not null)
            {
                yield return Row(path, 0, $"Discovery of {Path.GetFileName(path)}", failure);
                continue;
            }

            foreach (var result in results)
            {
                yield return Row(path, result.Index, result.Name, "");
            }
        }
    }

    private static void ShowOutput(string path, TestRun run)
    {
        if (Shown.Add(path))
        {
            TestContext.Current.TestOutputHelper?.WriteLine(run.End + "\n" + run.Output);
        }
    }

    // The label is what would follow the name: the arguments, which say nothing that the name does not.
    private static TheoryDataRow<string, int, string> Row(string path, int index, string name, string discoveryFailure) =>
        new(path, index, discoveryFailure) { TestDisplayName = name, Label = "" };
}
