using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>One kind of load.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Title">Its name in the report.</param>
/// <param name="With">What it changes of a load of 64-byte echoes.</param>
/// <param name="Idle">Connections that are held beside it.</param>
internal sealed record Case(string Name, string Title, Func<LoadOptions, LoadOptions> With, int Idle = 0)
{
    internal const string One = "e1";
    internal const string Hundred = "e100";
    internal const string Thousand = "e1k";
    internal const string TenThousand = "e10k";
    internal const string Mix = "mix";
    internal const string Churn = "churn";
    internal const string Pipelined = "p16";
    internal const string Big = "big";

    internal static readonly IReadOnlyList<Case> All =
    [
        new(One, "1 connection", static load => load with { Connections = 1 }),
        new(Hundred, "100 connections", static load => load with { Connections = 100 }),
        new(Thousand, "1,000 connections", static load => load with { Connections = 1000 }),
        new(TenThousand, "10,000 connections", static load => load with { Connections = 10_000 }),
        new(Mix, "100 active among 10,000 idle connections", static load => load with { Connections = 100 }, Idle: 10_000),
        new(Pipelined, "100 connections, 16 requests in flight on each", static load => load with { Connections = 100, Pipeline = 16 }),
        new(Big, "100 connections, messages of 16 KiB", static load => load with { Connections = 100, MessageSize = 16 * 1024 }),
        new(Churn, "Connect, echo, close; 64 at a time", static load => load with { Connections = 64, Mode = LoadMode.Churn }),
    ];

    internal static Case Named(string name) => All.First(what => what.Name == name);
}
