using Xunit;

[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace C10kServer.PesterTests;

/// <summary>Every It of every *.Tests.ps1 of the repository.</summary>
public sealed class PesterTests
{
    // A file's output is as long as its tests are many: the first test of it that fails shows it for all.
    private static readonly HashSet<string> Shown = [];

    /// <summary>The tests as discovery finds them; what cannot be discovered is a test that fails.</summary>
    public static IEnumerable<TheoryDataRow<string, string, int, string>> Discovered()
    {
        foreach (var path in TestFile.All())
        {
            var file = TestFile.Discover(path);
            var failure = file.Results.FirstOrDefault(r => r.Outcome != "Discovered")?.Message
                ?? (file.Results.Count == 0 ? $"No tests were found. {file.End}\n{file.Output}" : null);
            if (failure is not null)
            {
                yield return Row(path, $"Discovery of {Path.GetFileName(path)}", 0, failure);
                continue;
            }

            foreach (var same in file.Results.GroupBy(r => r.Name))
            {
                var occurrence = 0;
                foreach (var result in same)
                {
                    yield return Row(path, result.Name, occurrence++, "");
                }
            }
        }
    }

    /// <summary>Runs the file, if no other test of it has yet, and reports this test's part of the result.</summary>
    /// <param name="path">The test file.</param>
    /// <param name="name">The test's name, with those of the blocks around it.</param>
    /// <param name="occurrence">Which of the tests with this name.</param>
    /// <param name="discoveryFailure">Why the file has no tests, or an empty text.</param>
    [Theory]
    [MemberData(nameof(Discovered))]
    public void It(string path, string name, int occurrence, string discoveryFailure)
    {
        if (!string.IsNullOrEmpty(discoveryFailure))
        {
            Assert.Fail($"{path}: {discoveryFailure}");
        }

        var file = TestFile.Run(path);
        var result = file.Results.Where(r => r.Name == name).ElementAtOrDefault(occurrence);
        switch (result?.Outcome)
        {
            case "Passed" when file.EndedWell:
                break;
            case "Skipped":
                Assert.Skip(string.IsNullOrEmpty(result.Message) ? "skipped" : result.Message);
                break;
            default:
                ShowOutput(path, file);
                Assert.Fail(result is null
                    ? $"{path}: the test has no result. {file.End}"
                    : $"{path}:{result.Line}: {result.Outcome}: {result.Message} {file.End}");
                break;
        }
    }

    private static void ShowOutput(string path, TestFile file)
    {
        if (Shown.Add(path))
        {
            TestContext.Current.TestOutputHelper?.WriteLine(file.End + "\n" + file.Output);
        }
    }

    // The label is what would follow the name: the arguments, which say nothing that the name does not.
    private static TheoryDataRow<string, string, int, string> Row(string path, string name, int occurrence, string discoveryFailure) =>
        new(path, name, occurrence, discoveryFailure) { TestDisplayName = name, Label = "" };
}
