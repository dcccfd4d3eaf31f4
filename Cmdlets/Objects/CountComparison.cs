namespace C10kServer;

/// <summary>The ways in which a number is compared with a limit.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum CountComparison
{
    /// <summary>The number equals the limit.</summary>
    Equal = 0,

    /// <summary>The number equals the limit or is higher.</summary>
    GreaterOrEqual = 1,

    /// <summary>The number equals the limit or is lower.</summary>
    LessOrEqual = 2,

    /// <summary>The number is higher than the limit.</summary>
    Greater = 3,

    /// <summary>The number is lower than the limit.</summary>
    Less = 4,
}
