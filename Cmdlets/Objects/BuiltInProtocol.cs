namespace C10kServer;

/// <summary>The protocols that need no handler of the user's.</summary>
public enum BuiltInProtocol
{
    /// <summary>What comes in is sent back (RFC 862).</summary>
    Echo,

    /// <summary>A greeting is sent, then the connection is closed.</summary>
    Hello,

    /// <summary>What comes in is thrown away (RFC 863).</summary>
    Discard,
}
