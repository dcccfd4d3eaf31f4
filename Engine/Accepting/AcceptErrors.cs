using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>What to do when accept fails.</summary>
internal enum AcceptOutcome
{
    /// <summary>The queue is empty.</summary>
    Drained,

    /// <summary>The call was interrupted: call again.</summary>
    Again,

    /// <summary>One connection failed before it was accepted: count it and take the next one.</summary>
    Skip,

    /// <summary>
    /// Something has run out. The connection stays in the queue and the socket stays readable, so going on would spin. Accepting pauses for
    /// a moment.
    /// </summary>
    Pause,

    /// <summary>The listening socket itself is broken.</summary>
    Fault,
}

/// <summary>The table of accept errors (pitfalls 19, 20). See accept(2), "Error handling".</summary>
internal static class AcceptErrors
{
    internal static AcceptOutcome Outcome(int errno) => errno switch
    {
        Errno.EAGAIN => AcceptOutcome.Drained,
        Errno.EINTR => AcceptOutcome.Again,
        Errno.EMFILE or Errno.ENFILE or Errno.ENOBUFS or Errno.ENOMEM => AcceptOutcome.Pause,

        // Linux passes errors that wait on the new socket on to accept. A firewall causes EPERM.
        Errno.ECONNABORTED or Errno.EPROTO or Errno.EPERM or Errno.ENETDOWN or Errno.ENOPROTOOPT or Errno.EHOSTDOWN or Errno.ENONET
            or Errno.EHOSTUNREACH or Errno.EOPNOTSUPP or Errno.ENETUNREACH or Errno.ECONNRESET or Errno.ETIMEDOUT => AcceptOutcome.Skip,
        _ => AcceptOutcome.Fault,
    };
}
