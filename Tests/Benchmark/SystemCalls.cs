using System.Diagnostics;
using System.Globalization;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>The system calls that a request costs.</summary>
internal static class SystemCalls
{
    private const string ThreadCount = "attached with";

    private static readonly string[] OfARequest = ["epoll_wait", "recvfrom", "sendto"];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        report.Heading(2, "System calls");
        if (Programs.Ask("strace", "-V") is not { } version)
        {
            report.Paragraph("Left out: there is no strace here.");
            return;
        }

        using ServerProcess server = options.Start(options.Module);
        _ = Measurement.Take(server, Case.Named(Case.Hundred), TimeSpan.FromSeconds(options.Quick ? 0.2 : 1.5));
        double waits = WaitsAtFullSpeed(server, options);
        if (Count(server, options.Quick ? TimeSpan.FromSeconds(1) : TimeSpan.FromSeconds(5)) is not var (calls, requests))
        {
            report.Paragraph("Left out: strace may not look at other processes here.");
            return;
        }

        report.Paragraph(
            $"Of the module at 100 connections, one request in flight on each, all threads of the shell's process, by `strace -c -f -p` ({version.Split('\n')[0]}), " +
            $"over {requests:N0} requests. Under strace the server is slower, so that a wait finds more requests ready than at full speed; there, by the workers' " +
            $"own counters, it is {waits:0.000} waits a request.");
        report.Table(
            ["system call", "calls", "a request"],
            calls.OrderByDescending(static call => call.Value).Select(call => new[] { call.Key, ((double)call.Value).Text(), ((double)call.Value / requests).Text("0.0000") }));
        report.Table(Target.Columns,
        [
            new Target("Calls a request, under strace", 2.3, 2.1).Row((double)calls.Values.Sum() / requests),
            new Target("Calls a request, at full speed", 2.3, 2.1).Row(2 + waits),
            new Target("Calls a request other than epoll_wait, recv and send", 0, double.NaN, "0.0000")
                .Row((double)calls.Where(static call => !OfARequest.Contains(call.Key)).Sum(static call => call.Value) / requests),
        ]);
    }

    private static double WaitsAtFullSpeed(ServerProcess server, BenchmarkOptions options)
    {
        const string Counters = "$w = 0; $server.Workers | ForEach-Object { $w += $_.Wakeups }; \"$w $($server.MessagesReceived)\"";
        double[] before = Read();
        _ = Measurement.Take(server, Case.Named(Case.Hundred), options.Duration);
        double[] after = Read();
        return (after[0] - before[0]) / (after[1] - before[1]);

        double[] Read() => [.. server.Shell!.Ask(Counters).Split(' ').Select(static number => double.Parse(number, CultureInfo.InvariantCulture))];
    }

    /// <summary>Counts while a load runs. Null where that is not allowed.</summary>
    private static (IReadOnlyDictionary<string, long> Calls, long Requests)? Count(ServerProcess server, TimeSpan time)
    {
        using var load = new LoadGenerator(new LoadOptions { Target = server.EndPoint, Duration = TimeSpan.FromHours(1) });
        load.Start();
        using var strace = Process.Start(new ProcessStartInfo("strace", ["-c", "-f", "-U", "calls,name", "-p", $"{server.Process.Id}"])
        {
            RedirectStandardError = true,
        })!;

        // It says on the first line what it has attached to, and its table at the end.
        string? first = strace.StandardError.ReadLine();
        if (first?.Contains(ThreadCount, StringComparison.Ordinal) != true)
        {
            strace.WaitForExit();
            return null;
        }

        long requests = load.Progress.Requests;
        Thread.Sleep(time);
        requests = load.Progress.Requests - requests;
        Libc.Send(strace.Id, Libc.Interrupt);
        string table = strace.StandardError.ReadToEnd();
        strace.WaitForExit();
        var calls = new Dictionary<string, long>();
        foreach (string line in table.Split('\n'))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 2 && words[1] != "total" && long.TryParse(words[0], CultureInfo.InvariantCulture, out long count))
            {
                calls[words[1]] = count;
            }
        }

        return (calls, requests);
    }
}
