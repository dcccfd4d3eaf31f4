namespace C10kServer.Engine.Load;

/// <summary>What the connections of a load do.</summary>
public enum LoadMode
{
    /// <summary>Each sends, waits for the echo, and sends again.</summary>
    Echo,

    /// <summary>Connect, one echo, close; again and again.</summary>
    Churn,

    /// <summary>All are held without a word; at the end each is echoed once.</summary>
    Idle,
}
