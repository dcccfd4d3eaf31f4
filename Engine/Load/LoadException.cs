namespace C10kServer.Engine.Load;

/// <summary>A load has no result. The message says what to do. No thread, connection or descriptor is left behind.</summary>
public sealed class LoadException : IOException
{
    internal LoadException(LoadFailure failure, string message, int errno = 0)
        : base(message) => (Failure, Errno) = (failure, errno);

    /// <summary>What went wrong.</summary>
    public LoadFailure Failure { get; }

    /// <summary>The error number, see errno(3); 0 if no system call failed.</summary>
    public int Errno { get; }
}
