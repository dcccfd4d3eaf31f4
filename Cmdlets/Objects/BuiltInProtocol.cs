namespace C10kServer;

/// <summary>The protocols that are built in and need no handler from the user.</summary>
/// <remarks>The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum BuiltInProtocol
{
    /// <summary>Sends back everything that it receives (RFC 862).</summary>
    Echo = 0,

    /// <summary>Sends a greeting, then closes the connection.</summary>
    Hello = 1,

    /// <summary>Throws away everything that it receives (RFC 863).</summary>
    Discard = 2,

    /// <summary>Sends a pattern of printable characters without end (RFC 864).</summary>
    Chargen = 3,

    /// <summary>Sends the local date and time as a line of text, then closes the connection (RFC 867).</summary>
    Daytime = 4,

    /// <summary>Sends the seconds since 1900 as a number of four bytes, then closes the connection (RFC 868).</summary>
    Time = 5,
}
