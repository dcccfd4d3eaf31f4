namespace C10kServer.Benchmark;

/// <summary>What the command line asks for.</summary>
internal sealed record BenchmarkOptions
{
    internal required IReadOnlyList<Case> Cases { get; init; }

    /// <summary>How often each case is measured on each server.</summary>
    internal required int Rounds { get; init; }

    /// <summary>How long, each time.</summary>
    internal required TimeSpan Duration { get; init; }

    /// <summary>Worker threads of the module and of the reference.</summary>
    internal required int Workers { get; init; }

    /// <summary>Servers on one processor, the load on another.</summary>
    internal required bool Pinned { get; init; }

    /// <summary>The share of the machine that others may take.</summary>
    internal required double Noise { get; init; }

    /// <summary>How often a measurement that was disturbed is taken at most.</summary>
    internal required int Tries { get; init; }

    /// <summary>A look at everything, and no more.</summary>
    internal required bool Quick { get; init; }

    /// <summary>The yardstick, if there is one.</summary>
    internal required Reference? Reference { get; init; }

    /// <summary>How long to wait for the machine to be quiet before the next try.</summary>
    internal TimeSpan QuietWait => TimeSpan.FromSeconds(Quick ? 1 : 10);

    /// <summary>How often what needs a fresh process is measured.</summary>
    internal int Repeats => Quick ? 2 : 5;

    /// <summary>The module as it is compared: in a shell, with Echo.</summary>
    internal Contestant Module => Contestant.Module($"-Workers {Workers}");

    /// <summary>Starts one, on the servers' processor where they are pinned.</summary>
    internal ServerProcess Start(Contestant contestant) => Pinned ? Processors.OnServers(contestant.Start) : contestant.Start();
}
