namespace C10kServer;

/// <summary>A load has no result. The message says what to do.</summary>
/// <remarks>Stands for the engine's exception of that name, whose type no script can name.</remarks>
public sealed class LoadException : IOException
{
    /// <summary>Makes one with a general message.</summary>
    public LoadException()
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="message">What failed, and what to do.</param>
    public LoadException(string message) : base(message)
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="message">What failed, and what to do.</param>
    /// <param name="innerException">The cause.</param>
    public LoadException(string message, Exception innerException) : base(message, innerException)
    {
    }

    internal LoadException(string message, int errno) : base(message) => Errno = errno;

    /// <summary>The kernel's error number, 0 where no system call failed.</summary>
    public int Errno { get; }
}
