namespace C10kServer.Engine;

/// <summary>
/// What an exception says. It may be of a handler's own class, whose Message and ToString are a handler's code and throw in their turn.
/// </summary>
public static class ExceptionText
{
    /// <summary>Its message.</summary>
    public static string Message(Exception exception) => Try(exception, static e => e.Message);

    /// <summary>All of it: type, message, causes and stack trace.</summary>
    public static string Full(Exception exception) => Try(exception, static e => e.ToString());

    /// <summary>Its type and message, as the full text begins.</summary>
    public static string Brief(Exception exception) => $"{exception.GetType().FullName}: {Message(exception)}";

    private static string Try(Exception exception, Func<Exception, string?> text)
    {
        try
        {
            return text(exception) ?? "";
        }
        catch (Exception e)
        {
            return $"{exception.GetType().FullName}, which cannot be described: {e.GetType().FullName}";
        }
    }
}
