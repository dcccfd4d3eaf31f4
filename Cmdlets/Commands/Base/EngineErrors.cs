using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>
/// Turns the engine's exceptions into the shell's errors. The Ids of the errors never change, because users rely on them. The messages are
/// escaped, because a path in a message may contain any character.
/// </summary>
internal static class EngineErrors
{
    /// <param name="e">The engine's exception.</param>
    /// <param name="target">The error's target object: the server, the place at which it would listen, or the path of its log.</param>
    /// <param name="introduction">The beginning of the message, before what went wrong.</param>
    internal static ErrorRecord For(Engine.ServerStartException e, object? target, string introduction = "")
    {
        (string id, ErrorCategory category) = e.Failure switch
        {
            Engine.StartFailure.PortInUse => ("PortInUse", ErrorCategory.ResourceBusy),
            Engine.StartFailure.PortAccessDenied => ("PortAccessDenied", ErrorCategory.PermissionDenied),
            Engine.StartFailure.AddressNotAvailable => ("AddressNotAvailable", ErrorCategory.InvalidArgument),
            Engine.StartFailure.DescriptorLimit => ("DescriptorLimit", ErrorCategory.LimitsExceeded),
            Engine.StartFailure.ThreadLimit => ("ThreadLimit", ErrorCategory.LimitsExceeded),
            Engine.StartFailure.LogPathNotWritable => ("LogPathNotWritable", ClassifyLog(e.Errno)),
            _ => ("StartFailed", ErrorCategory.OpenError),
        };
        return new ErrorRecord(new ServerStartException(introduction + DisplayText.Text(e.Message)!, e.Errno), id, category, target);
    }

    /// <summary>Makes the error for an option that the engine refuses.</summary>
    internal static ErrorRecord For(ArgumentException e, object? target, IReadOnlyDictionary<string, object> given) =>
        new(new ArgumentException(DisplayText.Text(Describe(e, given))), "InvalidArgument", ErrorCategory.InvalidArgument, target);

    private static ErrorCategory ClassifyLog(int errno)
    {
        // The numbers are those of errno(3).
        const int EPERM = 1, ENOENT = 2, EACCES = 13, ENOTDIR = 20, EISDIR = 21, ENOSPC = 28, EROFS = 30;
        return errno switch
        {
            EPERM or EACCES or EROFS => ErrorCategory.PermissionDenied,
            ENOENT or ENOTDIR => ErrorCategory.ObjectNotFound,
            EISDIR => ErrorCategory.InvalidArgument,
            ENOSPC => ErrorCategory.ResourceUnavailable,
            _ => ErrorCategory.OpenError,
        };
    }

    /// <summary>Describes the error with the parameter's name, because the engine names its option and the user gave a parameter.</summary>
    private static string Describe(ArgumentException e, IReadOnlyDictionary<string, object> given)
    {
        if (e is ArgumentOutOfRangeException { ParamName: nameof(Engine.ServerOptions.MaxSendQueue), ActualValue: int most }
            && !given.ContainsKey(nameof(Engine.ServerOptions.MaxSendQueue)))
        {
            // The engine compares two options and names this one, but the user gave the other one.
            return $"-{nameof(Engine.ServerOptions.HighWaterMark)}: it may be {most} at most, because a connection may queue no more. Raise " +
                $"-{nameof(Engine.ServerOptions.MaxSendQueue)} with it.";
        }

        string parameter = e.ParamName switch
        {
            nameof(Engine.ServerOptions.Addresses) => nameof(StartC10kServerCommand.Address),
            nameof(Engine.ServerOptions.MaxConnections) => nameof(StartC10kServerCommand.MaxConnection),
            nameof(Engine.ServerOptions.MaxConnectionsPerAddress) => nameof(StartC10kServerCommand.MaxConnectionPerAddress),
            nameof(Engine.ServerOptions.KeepAliveTime) => nameof(StartC10kServerCommand.KeepAlive),
            null => "",
            string option => option,
        };
        return Describe(e, parameter);
    }

    /// <summary>Turns the engine's message about an option into a message about a parameter.</summary>
    internal static string Describe(ArgumentException e, string parameter)
    {
        int suffix = e.Message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        if (parameter.Length == 0 || suffix < 0)
        {
            return e.Message;
        }

        string text = e.Message[..suffix];
        string option = $"{e.ParamName} ";
        return $"-{parameter}: {(text.StartsWith(option, StringComparison.Ordinal) ? "it " + text[option.Length..] : text)}";
    }
}
