namespace C10kServer.Clients;

/// <summary>What the process says at its end.</summary>
internal static class ExitCode
{
    public const int Good = 0;

    /// <summary>Wrong bytes, failed connections, or a kind that could not do what it is for.</summary>
    public const int Bad = 1;

    /// <summary>The command line was not understood.</summary>
    public const int Usage = 2;

    /// <summary>The time was over before the work was done.</summary>
    public const int TimedOut = 3;
}
