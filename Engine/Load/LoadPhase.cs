namespace C10kServer.Engine.Load;

/// <summary>The phases of a load, in their order.</summary>
public enum LoadPhase
{
    /// <summary>The connections are being made.</summary>
    Connecting,

    /// <summary>All connections are open, and nothing is sent.</summary>
    Holding,

    /// <summary>The connections send requests.</summary>
    Sending,

    /// <summary>The load waits for the last answers.</summary>
    Finishing,
}
