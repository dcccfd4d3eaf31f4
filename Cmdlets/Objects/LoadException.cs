namespace C10kServer;

/// <summary>Thrown when a load has no result. The message says what to do.</summary>
/// <remarks>Stands for the engine's exception of the same name, because no script can name the engine's type.</remarks>
public sealed class LoadException : IOException
{
    /// <summary>Makes an exception with a general message.</summary>
    public LoadException()
    {
    }

    /// <summary>Makes an exception.</summary>
    /// <param name="message">What failed, and what to do.</param>
    public LoadException(string message) : base(message)
    {
    }

    /// <summary>Makes an exception.</summary>
    /// <param name="message">What failed, and what to do.</param>
    /// <param name="innerException">The cause.</param>
    public LoadException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal LoadException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The kernel's error number, or 0 if no system call failed.</summary>
    public int Errno { get; }
}
