namespace C10kServer.Engine.Load;

/// <summary>Why a load has no result.</summary>
public enum LoadFailure
{
    /// <summary>Not one connection could be made.</summary>
    ConnectFailed,

    /// <summary>The process has too few descriptors for this many connections.</summary>
    DescriptorLimit,

    /// <summary>The process is not allowed to start another thread.</summary>
    ThreadLimit,
}
