namespace C10kServer.Engine;

/// <summary>Why a server could not start.</summary>
public enum StartFailure
{
    /// <summary>Another reason; the message has the system's words.</summary>
    Other,

    /// <summary>Another socket listens there.</summary>
    PortInUse,

    /// <summary>The port is a privileged one.</summary>
    PortAccessDenied,

    /// <summary>The address is none of this machine's.</summary>
    AddressNotAvailable,

    /// <summary>The process has no descriptors left, or fewer than the options ask for.</summary>
    DescriptorLimit,

    /// <summary>The process may start no further thread.</summary>
    ThreadLimit,

    /// <summary>The file of the log cannot be opened for writing.</summary>
    LogPathNotWritable,
}
