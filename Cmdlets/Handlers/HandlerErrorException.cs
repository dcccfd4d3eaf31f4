using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>An error of a handler's, as its log tells it: what went wrong and where in the user's script, without this module's frames.</summary>
internal sealed class HandlerErrorException : Exception
{
    private readonly string _position;

    private HandlerErrorException(string message, string? position) : base(message) => _position = position ?? "";

    /// <summary>What is kept in the log with it.</summary>
    public override string ToString() => _position.Length == 0 ? Message : $"{Message}\n{_position}";

    internal static HandlerErrorException From(Exception exception) =>
        exception is IContainsErrorRecord { ErrorRecord: { } record }
            ? From(record)
            : new HandlerErrorException($"{exception.GetType().Name}: {Engine.ExceptionText.Message(exception)}", exception.StackTrace);

    internal static HandlerErrorException From(ErrorRecord record)
    {
        // A method's exception comes wrapped in "Exception calling ...", which names the method: kept.
        string message = record.ErrorDetails?.Message is { Length: > 0 } details ? details : record.Exception is { } cause ? Engine.ExceptionText.Message(cause) : record.ToString();
        return new HandlerErrorException(message, record.InvocationInfo?.PositionMessage);
    }
}
