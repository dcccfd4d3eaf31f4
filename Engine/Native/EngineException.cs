namespace C10kServer.Engine;

/// <summary>A system call failed that has no right to.</summary>
public sealed class EngineException : IOException
{
    internal EngineException(string call, int errno)
        : base($"{call} failed: {Native.Errno.Describe(errno)}") => Errno = errno;

    /// <summary>The error number, see errno(3).</summary>
    public int Errno { get; }
}
