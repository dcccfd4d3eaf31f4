using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using C10kServer.Benchmark;
using C10kServer.Benchmark.Servers;

// Measures the module: against other servers, and its cmdlets by themselves. Prints a report; a complete run leaves it in RESULTS.md.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
(string Name, Action<BenchmarkOptions, Report> Add)[] parts =
[
    ("load", LoadTables.Add),
    ("memory", MemoryCost.Add),
    ("calls", SystemCalls.Add),
    ("gc", Garbage.Add),
    ("script", ScriptRates.Add),
    ("cmdlets", CmdletTimings.Add),
];

Option<string[]> only = new("--only")
{
    Description = $"Which parts: {string.Join(", ", parts.Select(static part => part.Name))}. All without it.",
    AllowMultipleArgumentsPerToken = true,
};
only.AcceptOnlyFromAmong([.. parts.Select(static part => part.Name)]);
Option<string[]> cases = new("--case")
{
    Description = $"Which cases of the load: {string.Join(", ", Case.All.Select(static c => c.Name))}. All without it.",
    AllowMultipleArgumentsPerToken = true,
};
cases.AcceptOnlyFromAmong([.. Case.All.Select(static c => c.Name)]);
Option<int?> rounds = new("--rounds") { Description = "How often each case is measured on each server (16; 3 with --quick)." };
Option<double?> seconds = new("--seconds") { Description = "How long, each time (0.5; 0.2 with --quick)." };
Option<string?> reference = new("--reference")
{
    Description = "A program to compare with instead of Reference/epoll_echo.c, run as: PROGRAM -p PORT -w WORKERS.",
};
Option<int> workers = new("--workers")
{
    Description = "The worker threads of the module and of the reference.",
    DefaultValueFactory = _ => 1,
};
Option<bool> unpinned = new("--unpinned")
{
    Description = "Leaves it to the kernel what runs where. Without it servers have one processor, the load another.",
};
Option<double> noise = new("--noise")
{
    Description = "The share of the machine that others may take before a measurement is taken again.",
    DefaultValueFactory = _ => 0.06,
};
Option<int> tries = new("--tries") { Description = "How often a measurement is taken at most.", DefaultValueFactory = _ => 4 };
Option<bool> quick = new("--quick") { Description = "Less of everything: whether it works, not what the figures are." };
Option<FileInfo?> output = new("--output")
{
    Description = "Where the report goes; without it a complete run goes to Tests/Benchmark/RESULTS.md, and any other is printed alone.",
};
Argument<int> port = new("port");
var socket = new Command("serve-socket", "The server over SocketAsyncEventArgs.") { port };
socket.SetAction((parsed, _) => SocketServer.RunAsync(parsed.GetValue(port)));
var kestrel = new Command("serve-kestrel", "The server over Kestrel.") { port };
kestrel.SetAction((parsed, _) => KestrelServer.RunAsync(parsed.GetValue(port)));
var root = new RootCommand("Measures C10kServer in a shell: against other echo servers, and its cmdlets.")
{
    only, cases, rounds, seconds, reference, workers, unpinned, noise, tries, quick, output, socket, kestrel,
};
root.SetAction(parsed =>
{
    string[] wanted = parsed.GetValue(only) is { Length: > 0 } some ? some : [.. parts.Select(static part => part.Name)];
    string[] names = parsed.GetValue(cases) is { Length: > 0 } few ? few : [.. Case.All.Select(static c => c.Name)];
    bool isQuick = parsed.GetValue(quick);
    var options = new BenchmarkOptions
    {
        Cases = [.. Case.All.Where(c => names.Contains(c.Name))],
        Rounds = Math.Max(1, parsed.GetValue(rounds) ?? (isQuick ? 3 : 16)),
        Duration = TimeSpan.FromSeconds(Math.Max(0.02, parsed.GetValue(seconds) ?? (isQuick ? 0.2 : 0.5))),
        Workers = Math.Max(1, parsed.GetValue(workers)),
        Pinned = !parsed.GetValue(unpinned) && Processors.CanPin,
        Noise = parsed.GetValue(noise),
        Tries = Math.Max(1, parsed.GetValue(tries)),
        Quick = isQuick,
        Reference = parsed.GetValue(reference) is { } program ? new Reference(program, program) : Reference.Compile(),
    };
    if (options.Pinned)
    {
        Processors.PinLoad();
    }

    // The end of the process takes its children along; these signals by themselves end it without that.
    using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
    using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
    var report = new Report();
    report.Heading(1, "Results");

    // Where it goes is no part of what it is.
    string[] words =
        [.. args.Where((word, i) => !word.StartsWith(output.Name, StringComparison.Ordinal) && args.ElementAtOrDefault(i - 1) != output.Name)];
    report.Paragraph($"Of `dotnet run -c Release --project Tests/Benchmark{(words.Length > 0 ? $" -- {string.Join(' ', words)}" : "")}`.");
    Machine.Add(options, report);
    foreach ((string name, Action<BenchmarkOptions, Report> add) in parts.Where(part => wanted.Contains(part.Name)))
    {
        Report.Progress($"{name} …");
        add(options, report);
    }

    bool complete = wanted.Length == parts.Length && names.Length == Case.All.Count && !isQuick;
    string? path = parsed.GetValue(output)?.FullName
        ?? (complete ? Path.Combine(Programs.RepositoryRoot, "Tests/Benchmark/RESULTS.md") : null);
    if (path is not null)
    {
        report.Save(path);
        Report.Progress($"written to {path}");
    }
});
return root.Parse(args).Invoke();

static void End(PosixSignalContext context)
{
    context.Cancel = true;
    Environment.Exit(1);
}
