namespace C10kServer;

/// <summary>What ends the lines that a handler sends. Of those that it receives either does.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum NewLine
{
    /// <summary>A line feed.</summary>
    Lf = 0,

    /// <summary>Carriage return and line feed, as most Internet protocols want it.</summary>
    CrLf = 1,
}
