namespace C10kServer.Engine;

/// <summary>
/// The texts of an exception. A handler may define the exception's class: then Message and ToString are the handler's code, and may throw
/// themselves.
/// </summary>
public static class ExceptionText
{
    /// <summary>The exception's message.</summary>
    public static string Message(Exception exception) => Try(exception, static e => e.Message);

    /// <summary>The exception's full text: type, message, causes and stack trace.</summary>
    public static string Full(Exception exception) => Try(exception, static e => e.ToString());

    /// <summary>The exception's type and message, in the form in which the full text begins.</summary>
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
