using C10kServer.Engine.Load;

namespace C10kServer.Benchmark;

/// <summary>One kind of load.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="With">What it changes of a load of 64-byte echoes.</param>
/// <param name="Idle">Connections that are held beside it.</param>
internal sealed record Case(string Name, Func<LoadOptions, LoadOptions> With, int Idle = 0)
{
    internal static readonly IReadOnlyList<Case> All =
    [
        new("e1", static load => load with { Connections = 1 }),
        new("e100", static load => load with { Connections = 100 }),
        new("e1k", static load => load with { Connections = 1000 }),
        new("e10k", static load => load with { Connections = 10_000 }),
        new("mix", static load => load with { Connections = 100 }, Idle: 10_000),
        new("p16", static load => load with { Connections = 100, Pipeline = 16 }),
        new("big", static load => load with { Connections = 100, MessageSize = 16 * 1024 }),
        new("churn", static load => load with { Connections = 64, Mode = LoadMode.Churn }),
        new("idle", static load => load with { Connections = 10_000, Mode = LoadMode.Idle }),
    ];
}
