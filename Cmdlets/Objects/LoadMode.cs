namespace C10kServer;

/// <summary>The ways in which a load uses its connections.</summary>
/// <remarks>Repeats the engine's enum of the same name. The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum LoadMode
{
    /// <summary>Each connection sends a message, waits for the echo, and sends again.</summary>
    Echo = 0,

    /// <summary>Each connection is made, gets one echo, and is closed. Then the next one is made.</summary>
    Churn = 1,

    /// <summary>All connections are held without traffic. At the end each of them gets one echo.</summary>
    Idle = 2,
}
