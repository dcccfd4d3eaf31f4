namespace C10kServer;

/// <summary>Thrown when a server could not be started. The message says what to do.</summary>
/// <remarks>Stands for the engine's exception of the same name, because no script can name the engine's type.</remarks>
public sealed class ServerStartException : IOException
{
    /// <summary>Makes an exception with a general message.</summary>
    public ServerStartException()
    {
    }

    /// <summary>Makes an exception.</summary>
    /// <param name="message">What failed, and what to do.</param>
    public ServerStartException(string message) : base(message)
    {
    }

    /// <summary>Makes an exception.</summary>
    /// <param name="message">What failed, and what to do.</param>
    /// <param name="innerException">The cause.</param>
    public ServerStartException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal ServerStartException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The kernel's error number, or 0 if no system call failed.</summary>
    public int Errno { get; }
}
