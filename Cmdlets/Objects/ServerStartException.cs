namespace C10kServer;

/// <summary>A server could not be started. The message says what to do.</summary>
/// <remarks>Stands for the engine's exception of that name, whose type no script can name.</remarks>
public sealed class ServerStartException : IOException
{
    /// <summary>Makes one with a general message.</summary>
    public ServerStartException()
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="message">What failed, and what to do.</param>
    public ServerStartException(string message) : base(message)
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="message">What failed, and what to do.</param>
    /// <param name="innerException">The cause.</param>
    public ServerStartException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal ServerStartException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The kernel's error number, 0 where no system call failed.</summary>
    public int Errno { get; }
}
