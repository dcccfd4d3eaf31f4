namespace C10kServer.Engine.Load;

/// <summary>Where a load is in its life.</summary>
public enum LoadPhase
{
    /// <summary>The connections are being made.</summary>
    Connecting,

    /// <summary>All are open, and nothing is sent.</summary>
    Holding,

    /// <summary>Requests are sent.</summary>
    Sending,

    /// <summary>The last answers are awaited.</summary>
    Finishing,
}
