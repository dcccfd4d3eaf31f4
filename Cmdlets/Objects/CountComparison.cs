namespace C10kServer;

/// <summary>How a number is to compare with another.</summary>
public enum CountComparison
{
    /// <summary>It is the same.</summary>
    Equal,

    /// <summary>It is the same or higher.</summary>
    GreaterOrEqual,

    /// <summary>It is the same or lower.</summary>
    LessOrEqual,

    /// <summary>It is higher.</summary>
    Greater,

    /// <summary>It is lower.</summary>
    Less,
}
