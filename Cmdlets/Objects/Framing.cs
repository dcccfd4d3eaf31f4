namespace C10kServer;

/// <summary>Where a message ends and the next one begins.</summary>
public enum Framing
{
    /// <summary>Nowhere: a handler gets what has come, as it came.</summary>
    Raw = Engine.FramingKind.Raw,

    /// <summary>At a line feed, with a carriage return before it or without.</summary>
    Line = Engine.FramingKind.Line,

    /// <summary>At a delimiter.</summary>
    Delimiter = Engine.FramingKind.Delimiter,

    /// <summary>After as many bytes as a number before it says.</summary>
    Length = Engine.FramingKind.Length,

    /// <summary>After a fixed number of bytes.</summary>
    Fixed = Engine.FramingKind.Fixed,
}
