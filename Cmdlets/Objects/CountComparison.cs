namespace C10kServer;

/// <summary>How a number is to compare with another.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum CountComparison
{
    /// <summary>It is the same.</summary>
    Equal = 0,

    /// <summary>It is the same or higher.</summary>
    GreaterOrEqual = 1,

    /// <summary>It is the same or lower.</summary>
    LessOrEqual = 2,

    /// <summary>It is higher.</summary>
    Greater = 3,

    /// <summary>It is lower.</summary>
    Less = 4,
}
