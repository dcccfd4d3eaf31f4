using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace C10kServer.Faults.Tests;

/// <summary>A disk that fails for a while: what is lost is counted, said once, and lines stay whole.</summary>
public sealed partial class LogFileFaultTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public LogFileFaultTests() => Shim.Require();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void When_a_disk_has_room_again_the_file_says_how_many_records_it_lacks()
    {
        const int Each = 10;
        var errors = new List<string>();
        var log = new EventLog();
        var file = new LogFile(_path, "test", errors.Add);
        log.SetFile(file);
        file.Start();
        Add(log, 0, Each);
        Eventually.Equal(Each, Lines);
        using (Shim.Armed armed = Shim.Arm("write", (int)Error.ENOSPC, Schedule.EveryCall))
        {
            Add(log, Each, Each);
            Eventually.True(() => armed.Injected > 0);
        }

        Add(log, 2 * Each, Each);
        file.End();
        Eventually.Equal(0, ProcessLedger.EngineThreads);
        Assert.Contains("errno 28", Assert.Single(errors), StringComparison.Ordinal);
        string[] lines = File.ReadAllLines(_path);
        string[] dropped = [.. lines.Where(static line => line.Contains("LogRecordsDropped(60)", StringComparison.Ordinal))];
        int sum = dropped.Sum(static line => int.Parse(Number().Match(line).Value, CultureInfo.InvariantCulture));
        Assert.InRange(sum, 1, Each);
        Assert.Equal(3 * Each, lines.Length - dropped.Length + sum);
        Shim.AssertNothingLeft();
    }

    [Fact]
    public void Interrupted_writes_are_repeated()
    {
        var log = new EventLog();
        var file = new LogFile(_path, "test", static error => Assert.Fail(error));
        log.SetFile(file);
        using Shim.Armed armed = Shim.Arm("write", (int)Error.EINTR, Schedule.Every(2));
        file.Start();
        for (int i = 0; i < 20; i++)
        {
            Add(log, i, 1);
            Eventually.Equal(i + 1, Lines);
        }

        file.End();
        Assert.True(armed.Injected > 0);
    }

    private int Lines() => Encoding.UTF8.GetString(File.ReadAllBytes(_path)).Count(static c => c == '\n');

    [GeneratedRegex(@"\d+(?= records before)")]
    private static partial Regex Number();

    private static void Add(EventLog log, int from, int count)
    {
        for (int i = from; i < from + count; i++)
        {
            log.Add($"{i}");
        }
    }
}
