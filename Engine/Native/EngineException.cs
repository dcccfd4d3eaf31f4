namespace C10kServer.Engine;

/// <summary>A system call failed that should not fail.</summary>
public sealed class EngineException : IOException
{
    internal EngineException(string call, int errno, Exception? cause = null)
        : base($"{call} failed: {Native.Errno.Describe(errno)}", cause) => (Call, Errno) = (call, errno);

    /// <summary>The call, as its man page names it.</summary>
    public string Call { get; }

    /// <summary>The error number, see errno(3).</summary>
    public int Errno { get; }
}
