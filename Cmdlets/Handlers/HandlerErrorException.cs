using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// A handler's error in the form in which it is logged: what went wrong and where in the user's script, without this module's frames.
/// </summary>
internal sealed class HandlerErrorException : Exception
{
    private readonly string _position;

    private HandlerErrorException(string message, string? position) : base(message) => _position = position ?? "";

    /// <summary>The text that the log keeps: the message, and below it the position in the script.</summary>
    public override string ToString() => _position.Length == 0 ? Message : $"{Message}\n{_position}";

    internal static HandlerErrorException From(Exception exception) =>
        exception is IContainsErrorRecord { ErrorRecord: { } record }
            ? From(record)
            : new HandlerErrorException($"{exception.GetType().Name}: {Engine.ExceptionText.Message(exception)}", exception.StackTrace);

    internal static HandlerErrorException From(ErrorRecord record)
    {
        // The shell wraps an exception of a .NET method in "Exception calling ...". That text stays, because it names the method.
        string message = record.ErrorDetails?.Message is { Length: > 0 } details ? details : record.Exception is { } cause ? Engine.ExceptionText.Message(cause) : record.ToString();
        return new HandlerErrorException(message, record.InvocationInfo?.PositionMessage);
    }
}
