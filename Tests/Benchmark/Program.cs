using System.CommandLine;
using System.Reflection;
using C10kServer.Benchmark;
using C10kServer.Benchmark.Servers;

// Measures the module against other servers: each case on one after the other, in rounds, so that a slow minute of the machine
// hits all of them. Ratios are medians of the ratios within a round.
Option<int> rounds = new("--rounds") { Description = "How often each case is measured on each server.", DefaultValueFactory = _ => 5 };
Option<double> seconds = new("--seconds") { Description = "How long, each time.", DefaultValueFactory = _ => 2 };
Option<string[]> cases = new("--case")
{
    Description = $"Which cases: {string.Join(", ", Case.All.Select(static c => c.Name))}. All without it.",
    AllowMultipleArgumentsPerToken = true,
};
Option<string?> reference = new("--reference") { Description = "A program to compare with first of all, run as: PROGRAM -p PORT -w WORKERS." };
Option<int> workers = new("--workers") { Description = "The worker threads of the module and of the reference.", DefaultValueFactory = _ => 1 };
Argument<int> port = new("port");
var socket = new Command("serve-socket", "The server over SocketAsyncEventArgs.") { port };
socket.SetAction((parsed, _) => SocketServer.RunAsync(parsed.GetValue(port)));
var kestrel = new Command("serve-kestrel", "The server over Kestrel.") { port };
kestrel.SetAction((parsed, _) => KestrelServer.RunAsync(parsed.GetValue(port)));
var root = new RootCommand("Measures C10kServer in a shell against other echo servers.") { rounds, seconds, cases, reference, workers, socket, kestrel };
root.SetAction(parsed =>
{
    string[] wanted = parsed.GetValue(cases) is { Length: > 0 } some ? some : [.. Case.All.Select(static c => c.Name)];
    var servers = Servers(parsed.GetValue(reference), parsed.GetValue(workers));
    foreach (Case what in Case.All.Where(c => wanted.Contains(c.Name)))
    {
        Measure(what, servers, parsed.GetValue(rounds), TimeSpan.FromSeconds(parsed.GetValue(seconds)));
    }
});
return root.Parse(args).Invoke();

static List<Func<ServerProcess>> Servers(string? reference, int workers)
{
    string dotnet = Environment.ProcessPath!;
    string self = typeof(Case).Assembly.Location;
    string[] prefix = Path.GetFileNameWithoutExtension(dotnet) == "dotnet" ? [dotnet] : ["dotnet"];
    List<Func<ServerProcess>> servers =
    [
        () => new ServerProcess("c10k", port =>
            [.. prefix, Metadata("PowerShellAssembly"), "-NoProfile", "-Command",
                $"Import-Module '{Metadata("RepositoryRoot")}C10kServer.psd1'; $null = Start-C10kServer -Port {port} -Workers {workers}; " +
                "[System.Threading.Thread]::Sleep(-1)"]),
        () => new ServerProcess("socket", port => [.. prefix, self, "serve-socket", $"{port}"]),
        () => new ServerProcess("kestrel", port => [.. prefix, self, "serve-kestrel", $"{port}"]),
    ];
    if (reference is not null)
    {
        servers.Insert(0, () => new ServerProcess("reference", port => [reference, "-p", $"{port}", "-w", $"{workers}"]));
    }

    return servers;
}

static string Metadata(string key) =>
    typeof(Case).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == key).Value!;

static void Measure(Case what, List<Func<ServerProcess>> starters, int rounds, TimeSpan duration)
{
    // Fresh ones for each case: what the case before left in memory is not this one's.
    List<ServerProcess> servers = [];
    try
    {
        foreach (Func<ServerProcess> start in starters)
        {
            servers.Add(start());
        }

        List<Measurement>[] results = [.. servers.Select(static _ => new List<Measurement>())];
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < servers.Count; i++)
            {
                results[i].Add(Measurement.Take(servers[i], what, duration));
            }
        }

        Console.WriteLine($"\n{what.Name}, {rounds} rounds");
        Console.WriteLine($"{"server",-10} {"per s",10} {"ratio",6} {"cpu us",8} {"ratio",6} {"p50 us",8} {"p99 us",8} {"p999 us",8} {"B/conn",7} {"errors",6}");
        for (int i = 0; i < servers.Count; i++)
        {
            Console.WriteLine(
                $"{servers[i].Name,-10} {Of(i, static m => m.Rate),10} {Ratio(i, static m => m.Rate),6} {Of(i, static m => m.CpuMicroseconds, "N2"),8} " +
                $"{Ratio(i, static m => m.CpuMicroseconds),6} {Of(i, static m => m.P50),8} {Of(i, static m => m.P99),8} {Of(i, static m => m.P999),8} " +
                $"{(double.IsNaN(results[i][0].BytesPerConnection) ? "-" : Measurement.Number(results[i][0].BytesPerConnection)),7} {results[i].Sum(static m => m.Errors),6}");
        }

        string Of(int i, Func<Measurement, double> figure, string format = "N0") =>
            Measurement.Number(Measurement.Median(results[i].Select(figure)), format);

        string Ratio(int i, Func<Measurement, double> figure) =>
            Measurement.Number(Measurement.Median(results[i].Zip(results[0], (mine, first) => figure(mine) / figure(first))), "N2");
    }
    finally
    {
        servers.ForEach(static server => server.Dispose());
    }
}
