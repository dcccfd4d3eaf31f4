using System.Reflection;
using System.Text.RegularExpressions;

namespace C10kServer.Engine.Tests;

/// <summary>Engine/README.md leads a reader through the code: what it names is there.</summary>
public partial class PathOfAByteTests
{
    private static readonly string Engine =
        typeof(PathOfAByteTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(static a => a.Key == "EngineFolder").Value!;

    public static TheoryData<string, string> Named()
    {
        var named = new TheoryData<string, string>();
        foreach (Match match in Member().Matches(File.ReadAllText(Path.Combine(Engine, "README.md"))))
        {
            named.Add(match.Groups["file"].Value, match.Groups["member"].Value);
        }

        return named;
    }

    [Theory]
    [MemberData(nameof(Named))]
    public void Every_member_that_the_page_names_stands_in_the_file_that_it_names(string file, string member)
    {
        string path = Path.Combine(Engine, file);
        Assert.True(File.Exists(path), $"{file} does not exist");
        Assert.Matches($@"(?m)^    \w[^=\n;(]* {member}\(", File.ReadAllText(path));
    }

    [Fact]
    public void The_page_names_a_way_in_and_a_way_out() => Assert.InRange(Named().Count, 20, 100);

    [GeneratedRegex(@"`(?<file>[\w/.]+\.cs):(?<member>\w+)`")]
    private static partial Regex Member();
}
