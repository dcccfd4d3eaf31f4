namespace C10kServer.Engine;

/// <summary>The reasons why a server could not start.</summary>
public enum StartFailure
{
    /// <summary>Another reason; the message has the system's words.</summary>
    Other,

    /// <summary>Another socket listens on the address.</summary>
    PortInUse,

    /// <summary>The port is a privileged one.</summary>
    PortAccessDenied,

    /// <summary>The address does not belong to this machine.</summary>
    AddressNotAvailable,

    /// <summary>The process has no descriptors left, or fewer than the options ask for.</summary>
    DescriptorLimit,

    /// <summary>The process may not start another thread.</summary>
    ThreadLimit,

    /// <summary>The file of the log cannot be opened for writing.</summary>
    LogPathNotWritable,
}
