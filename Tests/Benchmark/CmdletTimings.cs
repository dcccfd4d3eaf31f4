using System.Diagnostics;
using System.Globalization;

namespace C10kServer.Benchmark;

/// <summary>How long cmdlets take beside ten thousand connections, in a fresh shell at first and then again.</summary>
internal sealed class CmdletTimings
{
    private const int Connections = 10_000;
    private const int Workers = 2;
    private const string Import = "Import-Module";
    private const string Start = "Start-C10kServer";
    private const string Rows = "Get-C10kConnection";
    private const string TcpRows = "Get-C10kConnection -TcpInfo";
    private const string Closing = "Get-C10kConnection | Where State -eq Closing";
    private const string FirstRow = "Get-C10kConnection, formatted: the first row";
    private const string AllRows = "Get-C10kConnection, formatted: all rows";
    private const string Stop = "Stop-C10kServer, no connections";
    private const string StopFull = "Stop-C10kServer, 10,000 connections";

    // The milliseconds that each may take, where that was agreed on.
    private static readonly (string What, double Must)[] Timed =
    [
        (Import, 200), (Start, 50), (Rows, 100), (TcpRows, 200), (Closing, 250), (FirstRow, double.NaN), (AllRows, double.NaN),
        (Stop, double.NaN), (StopFull, double.NaN),
    ];

    private readonly Dictionary<string, List<double>> _first = [];
    private readonly Dictionary<string, List<double>> _later = [];
    private readonly int _times;

    private CmdletTimings(int times) => _times = times;

    internal static void Add(BenchmarkOptions options, Report report)
    {
        var timings = new CmdletTimings(options.Quick ? 3 : 10);
        for (int i = 1; i <= options.Repeats; i++)
        {
            foreach (string command in new[] { Rows, TcpRows, Closing, AllRows })
            {
                Activity.WaitForQuiet(options.Noise, options.QuietWait);
                Processors.OnAll(() => timings.Time(command));
                Report.Progress($"{i} of {options.Repeats}: {command}, {timings._first[command][^1].Milliseconds()} ms at first");
            }
        }

        report.Heading(2, "Cmdlets");
        report.Paragraph(
            $"In the tests' shell, with 10,000 connections that another process holds and {Workers} workers; medians, in milliseconds. " +
            $"The first run of each is its first in a fresh process, {options.Repeats} of which there are for each of the commands " +
            "with connections: it compiles as it goes. Nothing is pinned.");
        report.Table(["command", "first", "later", "target", ""], Timed.Select(timed => timings.Row(timed.What, timed.Must)));
    }

    private string[] Row(string what, double must)
    {
        double first = _first[what].Median();
        double later = _later.GetValueOrDefault(what, []).Median();
        string verdict = double.IsNaN(must) ? ""
            : first <= must && !(later > must) ? "met"
            : later <= must ? "first **missed**"
            : "**missed**";
        return [what, first.Milliseconds(), later.Milliseconds(), double.IsNaN(must) ? "–" : $"≤ {must}", verdict];
    }

    /// <summary>A fresh shell for one command; what surrounds it is timed too.</summary>
    private void Time(string command)
    {
        using var shell = new Shell(withModule: false);
        _first.Add(Import, Run(shell, $"Import-Module '{Programs.RepositoryRoot}C10kServer.psd1'"));
        _first.Add(Start, Run(shell, $"$server = Start-C10kServer -Workers {Workers}"));
        using Client client = Client.Hold(int.Parse(shell.Ask("$server.Port"), CultureInfo.InvariantCulture), Connections, out _);
        _ = client.Ask("echo 1 64");
        for (int i = 0; i <= _times; i++)
        {
            Dictionary<string, List<double>> results = i == 0 ? _first : _later;
            if (command == AllRows)
            {
                (double first, double all) = Format(shell);
                results.Add(FirstRow, first);
                results.Add(AllRows, all);
            }
            else
            {
                results.Add(command, Run(shell, $"$rows = {command}", "$rows.Count", command == Closing ? 0 : Connections));
            }
        }

        _first.Add(StopFull, Run(shell, "Stop-C10kServer $server"));
        client.Quit();
        for (int i = 0; i < _times; i++)
        {
            _later.Add(Start, Run(shell, $"$server = Start-C10kServer -Workers {Workers}"));
            (i == 0 ? _first : _later).Add(Stop, Run(shell, "Stop-C10kServer $server"));
        }
    }

    /// <summary>The milliseconds that a command takes, by a clock in the shell: without the way to it and back.</summary>
    private static double Run(Shell shell, string command, string count = "0", int expected = 0)
    {
        string answer = shell.Ask(
            $"$watch = [Diagnostics.Stopwatch]::StartNew(); {command}; $watch.Stop(); " +
            $"[string]::Format([cultureinfo]::InvariantCulture, '{{0}} {{1}}', $watch.Elapsed.TotalMilliseconds, {count})");
        string[] words = answer.Split(' ');
        return words.Length == 2 && words[1] == $"{expected}"
            ? double.Parse(words[0], CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"{command} was to give {expected} rows: {answer}");
    }

    /// <summary>The milliseconds from the line that is sent to the shell to the first row of its table, and to the end.</summary>
    private static (double First, double All) Format(Shell shell)
    {
        long begun = Stopwatch.GetTimestamp();
        TimeSpan first = default;
        int rows = 0;
        foreach (string line in shell.Run(Rows))
        {
            if (line.Contains(" Open ", StringComparison.Ordinal) && ++rows == 1)
            {
                first = Stopwatch.GetElapsedTime(begun);
            }
        }

        TimeSpan all = Stopwatch.GetElapsedTime(begun);
        return rows == Connections
            ? (first.TotalMilliseconds, all.TotalMilliseconds)
            : throw new InvalidOperationException($"{rows} of {Connections} rows were written.");
    }
}
