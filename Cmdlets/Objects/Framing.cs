namespace C10kServer;

/// <summary>The rule for where a message ends and the next one begins.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum Framing
{
    /// <summary>Messages have no end: a handler gets the bytes as they arrive.</summary>
    Raw = 0,

    /// <summary>A message ends at a line feed, with or without a carriage return before it.</summary>
    Line = 1,

    /// <summary>A message ends at a delimiter.</summary>
    Delimiter = 2,

    /// <summary>The number of a message's bytes stands before the message.</summary>
    Length = 3,

    /// <summary>Every message has the same number of bytes.</summary>
    Fixed = 4,
}
