namespace C10kServer;

/// <summary>What the connections of a load do.</summary>
/// <remarks>The engine's enum of that name, said again. The numbers never change, because ConvertTo-Json writes them.</remarks>
public enum LoadMode
{
    /// <summary>Each sends, waits for the echo, and sends again.</summary>
    Echo = 0,

    /// <summary>Connect, one echo, close; again and again.</summary>
    Churn = 1,

    /// <summary>All are held without a word; at the end each is echoed once.</summary>
    Idle = 2,
}
