namespace C10kServer;

/// <summary>The end of the lines that a handler sends. Lines that a handler receives may have either end.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum NewLine
{
    /// <summary>A line feed.</summary>
    Lf = 0,

    /// <summary>A carriage return and a line feed, as most Internet protocols require.</summary>
    CrLf = 1,
}
