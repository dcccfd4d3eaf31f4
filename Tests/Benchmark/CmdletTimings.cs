using System.Diagnostics;
using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>How long cmdlets take beside ten thousand connections, in a fresh shell at first and then again.</summary>
internal static class CmdletTimings
{
    private const int Connections = 10_000;
    private const string Import = "Import-Module";
    private const string Start = "Start-C10kServer";
    private const string Stop = "Stop-C10kServer, no connections";
    private const string StopFull = "Stop-C10kServer, 10,000 connections";
    private const string FirstRow = "Get-C10kConnection, formatted: the first row";
    private const string AllRows = "Get-C10kConnection, formatted: all rows";

    // In the table's order; the milliseconds that each may take, where that was agreed on.
    private static readonly (string Name, double Must)[] Timed =
    [
        (Import, 200),
        (Start, 50),
        ("Get-C10kConnection", 100),
        ("Get-C10kConnection -TcpInfo", 200),
        ("Get-C10kConnection | Where State -eq Closing", 250),
        (FirstRow, double.NaN),
        (AllRows, double.NaN),
        (Stop, double.NaN),
        (StopFull, double.NaN),
    ];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        var first = Timed.ToDictionary(static timed => timed.Name, static _ => new List<double>());
        var later = Timed.ToDictionary(static timed => timed.Name, static _ => new List<double>());
        for (int i = 1; i <= options.Repeats; i++)
        {
            foreach (string command in Timed.Select(static timed => timed.Name).Where(static name => name.StartsWith("Get-", StringComparison.Ordinal) && name != FirstRow))
            {
                Processors.OnAll(() => Time(command, options.Quick ? 3 : 10, first, later));
                Report.Progress($"{i} of {options.Repeats}: {command} {first[command][^1].Milliseconds()} ms, later {later[command].Median().Milliseconds()} ms");
            }
        }

        report.Heading(2, "Cmdlets");
        report.Paragraph(
            $"In the tests' shell with 10,000 connections that another process holds, 2 workers; medians, in milliseconds. The first run of each is its first in a fresh " +
            $"process, which compiles as it goes: {options.Repeats} processes for each of the commands with connections. Nothing is pinned.");
        report.Table(["command", "first", "later", "target", ""], Timed.Select(timed => Row(timed.Name, timed.Must, first[timed.Name], later[timed.Name])));
    }

    private static string[] Row(string name, double must, List<double> first, List<double> later)
    {
        double once = first.Median();
        double again = later.Median();
        bool firstMet = !(once > must);
        bool laterMet = !(again > must);
        string verdict = double.IsNaN(must) ? "" : firstMet && laterMet ? "met" : laterMet && double.IsFinite(again) ? "first **missed**" : "**missed**";
        return [name, once.Milliseconds(), again.Milliseconds(), double.IsNaN(must) ? "–" : $"≤ {must}", verdict];
    }

    /// <summary>A fresh shell for one command; what surrounds it is timed too.</summary>
    private static void Time(string command, int times, Dictionary<string, List<double>> first, Dictionary<string, List<double>> later)
    {
        using var shell = new Shell(withModule: false);
        first[Import].Add(Milliseconds(shell, $"Import-Module '{Programs.RepositoryRoot}C10kServer.psd1'"));
        first[Start].Add(Milliseconds(shell, "$server = Start-C10kServer -Workers 2"));
        int port = int.Parse(shell.Ask("$server.Port"), CultureInfo.InvariantCulture);
        using Client client = Client.Hold(port, Connections, out _);
        _ = client.Ask("echo 1 64");
        for (int i = 0; i <= times; i++)
        {
            Dictionary<string, List<double>> results = i == 0 ? first : later;
            if (command == AllRows)
            {
                (double row, double all) = Format(shell);
                results[FirstRow].Add(row);
                results[AllRows].Add(all);
            }
            else
            {
                results[command].Add(Milliseconds(shell, $"$rows = {command}", "$rows.Count", command.Contains("Where", StringComparison.Ordinal) ? 0 : Connections));
            }
        }

        first[StopFull].Add(Milliseconds(shell, "Stop-C10kServer $server"));
        client.Quit();
        for (int i = 0; i < times; i++)
        {
            later[Start].Add(Milliseconds(shell, "$server = Start-C10kServer -Workers 2"));
            (i == 0 ? first : later)[Stop].Add(Milliseconds(shell, "Stop-C10kServer $server"));
        }
    }

    /// <summary>Timed in the shell, without the way to it and back.</summary>
    private static double Milliseconds(Shell shell, string command, string count = "0", int expected = 0)
    {
        string answer = shell.Ask(
            $"$watch = [Diagnostics.Stopwatch]::StartNew(); {command}; $watch.Stop(); " +
            $"[string]::Format([cultureinfo]::InvariantCulture, '{{0}} {{1}}', $watch.Elapsed.TotalMilliseconds, {count})");
        string[] words = answer.Split(' ');
        return words.Length == 2 && words[1] == $"{expected}"
            ? double.Parse(words[0], CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"{command} was to give {expected} rows: {answer}");
    }

    /// <summary>From the line that is sent to the shell to the first row of its table, and to its last.</summary>
    private static (double First, double All) Format(Shell shell)
    {
        long begun = Stopwatch.GetTimestamp();
        TimeSpan first = default;
        int rows = 0;
        foreach (string line in shell.Run("Get-C10kConnection"))
        {
            if (line.Contains(" Open ", StringComparison.Ordinal) && ++rows == 1)
            {
                first = Stopwatch.GetElapsedTime(begun);
            }
        }

        TimeSpan all = Stopwatch.GetElapsedTime(begun);
        return rows == Connections ? (first.TotalMilliseconds, all.TotalMilliseconds) : throw new InvalidOperationException($"{rows} rows were written.");
    }
}
