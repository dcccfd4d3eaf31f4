namespace C10kServer.Engine.Load;

/// <summary>What the connections of a load do.</summary>
public enum LoadMode
{
    /// <summary>Each connection sends, waits for the echo, and sends again.</summary>
    Echo,

    /// <summary>Each connection connects, echoes once and closes, again and again.</summary>
    Churn,

    /// <summary>All connections are held without any traffic. At the end each connection echoes once.</summary>
    Idle,
}
