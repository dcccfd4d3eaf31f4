namespace C10kServer.Faults.Tests;

/// <summary>Which of a function's calls fail. The modes are those of shim.c.</summary>
internal sealed record Schedule(int Mode, int N, ulong Seed = 0, int Limit = int.MaxValue)
{
    internal static Schedule EveryCall { get; } = new(2, 1);

    internal static Schedule Nth(int n) => new(1, n);

    internal static Schedule Every(int n) => new(2, n);

    internal static Schedule PerMille(int n, ulong seed) => new(3, n, seed);

    /// <summary>The schedule behind a word in a theory's row.</summary>
    internal static Schedule For(When when) => when switch
    {
        When.FirstCall => Nth(1),
        When.EveryThird => Every(3),
        _ => PerMille(10, seed: 20_240_229),
    };

    /// <summary>Faults to wait for before such a schedule has shown what it can do.</summary>
    internal static int EnoughOf(When when) => when switch
    {
        When.FirstCall => 1,
        When.EveryThird => 4,
        _ => 2,
    };
}

/// <summary>The three schedules that each fault is tried with.</summary>
public enum When
{
    FirstCall,
    EveryThird,
    OnePercent,
}
