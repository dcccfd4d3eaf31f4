namespace C10kServer;

/// <summary>Where a message ends and the next one begins.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum Framing
{
    /// <summary>Nowhere: a handler gets what has come, as it came.</summary>
    Raw = 0,

    /// <summary>At a line feed, with a carriage return before it or without.</summary>
    Line = 1,

    /// <summary>At a delimiter.</summary>
    Delimiter = 2,

    /// <summary>After as many bytes as a number before it says.</summary>
    Length = 3,

    /// <summary>After a fixed number of bytes.</summary>
    Fixed = 4,
}
