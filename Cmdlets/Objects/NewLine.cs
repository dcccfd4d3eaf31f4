namespace C10kServer;

/// <summary>What ends the lines that a handler sends. Of those that it receives either does.</summary>
public enum NewLine
{
    /// <summary>A line feed.</summary>
    Lf,

    /// <summary>Carriage return and line feed, as most Internet protocols want it.</summary>
    CrLf,
}
