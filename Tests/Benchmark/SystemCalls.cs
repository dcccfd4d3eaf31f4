using System.Diagnostics;
using System.Globalization;
using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>The system calls that a request costs.</summary>
internal static class SystemCalls
{
    private const string Attached = "attached";

    // What the C library makes of recv and send. A wait that was interrupted, as strace does at its beginning, goes on as a
    // restart_syscall.
    private static readonly string[] OfARequest = ["epoll_wait", "epoll_pwait", "restart_syscall", "recvfrom", "sendto"];

    internal static void Add(BenchmarkOptions options, Report report)
    {
        report.Heading(2, "System calls");
        if (Programs.Ask("strace", "-V") is not { } version)
        {
            report.Paragraph("Left out: there is no strace here.");
            return;
        }

        using ServerProcess server = options.Start(options.Module);

        // Long enough for the just-in-time compiler to be done: its calls are not a request's.
        _ = Measurement.Take(server, Case.Named(Case.Hundred), TimeSpan.FromSeconds(options.Quick ? 0.5 : 5));
        double waits = WaitsAtFullSpeed(server, options);
        TimeSpan time = TimeSpan.FromSeconds(options.Quick ? 1 : 5);
        string worker = server.Shell!.Ask("$server.Workers[0].ThreadId");
        if (Count(server, time, "-f", "-p", $"{server.Process.Id}") is not (var all, var requests)
            || Count(server, time, "-p", worker) is not (var mine, var itsRequests))
        {
            report.Paragraph("Left out: strace may not look at other processes here.");
            return;
        }

        report.Paragraph(
            $"Of the module at 100 connections, one request in flight on each, by `strace -c` ({version.Split('\n')[0]}), " +
            $"{time.TotalSeconds} s each time: of all threads of the shell's process (`-f`), over {requests:N0} requests, and of the " +
            $"worker alone, over {itsRequests:N0}. Under strace the server is slower, so that a wait finds more requests ready than at " +
            $"full speed; there, by the worker's own counters, it is {waits:0.000} waits a request.");
        report.Table(
            ["system call", "all threads", "a request", "the worker", "a request"],
            all.Keys.Union(mine.Keys).OrderByDescending(call => all.GetValueOrDefault(call)).Select(call => new[]
            {
                call, Number(all, call), PerRequest(all, call, requests), Number(mine, call), PerRequest(mine, call, itsRequests),
            }));
        report.Table(Target.Columns,
        [
            new Target("Calls of all threads for a request, under strace", 2.3, 2.1).Row((double)all.Values.Sum() / requests),
            new Target("Calls of the worker for a request, at full speed", 2.3, 2.1).Row(2 + waits),
            new Target("Calls of the worker other than epoll_wait, recv and send", 0, double.NaN, "0")
                .Row(mine.Where(static call => !OfARequest.Contains(call.Key)).Sum(static call => call.Value)),
        ]);

        static string Number(IReadOnlyDictionary<string, long> calls, string call) => ((double)calls.GetValueOrDefault(call)).Text();

        static string PerRequest(IReadOnlyDictionary<string, long> calls, string call, long requests) =>
            ((double)calls.GetValueOrDefault(call) / requests).Text("0.0000");
    }

    private static double WaitsAtFullSpeed(ServerProcess server, BenchmarkOptions options)
    {
        const string Counters = "$w = 0; $server.Workers | ForEach-Object { $w += $_.Wakeups }; \"$w $($server.MessagesReceived)\"";
        double[] before = Read();
        _ = Measurement.Take(server, Case.Named(Case.Hundred), options.Duration);
        double[] after = Read();
        return (after[0] - before[0]) / (after[1] - before[1]);

        double[] Read() =>
            [.. server.Shell!.Ask(Counters).Split(' ').Select(static number => double.Parse(number, CultureInfo.InvariantCulture))];
    }

    /// <summary>Counts while a load runs. Null where that is not allowed.</summary>
    private static (IReadOnlyDictionary<string, long> Calls, long Requests)? Count(
        ServerProcess server, TimeSpan time, params string[] whom)
    {
        using var load = new LoadGenerator(new LoadOptions { Target = server.EndPoint, Duration = TimeSpan.FromHours(1) });
        load.Start();
        Measurement.WaitFor(load, LoadPhase.Sending);
        using var strace = Process.Start(new ProcessStartInfo("strace", ["-c", "-U", "calls,name", .. whom])
        {
            RedirectStandardError = true,
        })!;

        // It says on the first line what it has attached to, and its table at the end.
        string? first = strace.StandardError.ReadLine();
        if (first?.Contains(Attached, StringComparison.Ordinal) != true)
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
