namespace C10kServer;

/// <summary>What the connections of a load do.</summary>
/// <remarks>The engine's enum of that name, said again.</remarks>
public enum LoadMode
{
    /// <summary>Each sends, waits for the echo, and sends again.</summary>
    Echo = Engine.Load.LoadMode.Echo,

    /// <summary>Connect, one echo, close; again and again.</summary>
    Churn = Engine.Load.LoadMode.Churn,

    /// <summary>All are held without a word; at the end each is echoed once.</summary>
    Idle = Engine.Load.LoadMode.Idle,
}
