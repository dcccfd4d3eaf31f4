namespace C10kServer;

/// <summary>The protocols that need no handler of the user's.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum BuiltInProtocol
{
    /// <summary>What comes in is sent back (RFC 862).</summary>
    Echo = 0,

    /// <summary>A greeting is sent, then the connection is closed.</summary>
    Hello = 1,

    /// <summary>What comes in is thrown away (RFC 863).</summary>
    Discard = 2,

    /// <summary>A pattern of printable characters is sent without end (RFC 864).</summary>
    Chargen = 3,

    /// <summary>The local date and time is sent as a line of text, then the connection is closed (RFC 867).</summary>
    Daytime = 4,

    /// <summary>The seconds since 1900 are sent as a number of four bytes, then the connection is closed (RFC 868).</summary>
    Time = 5,
}
