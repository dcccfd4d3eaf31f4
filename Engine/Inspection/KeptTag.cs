using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// What is kept of a connection's Tag when the connection is over. The ring holds the last 1,024 connections of a server, so what it keeps of
/// each must not grow with what peers send (pitfall 54) and must not hold a handler's state alive.
/// </summary>
internal static class KeptTag
{
    /// <summary>The characters of a text, or the elements of an array of bytes, that are kept.</summary>
    internal const int Longest = 1024;

    /// <summary>
    /// The Tag that a script's handler has set is kept as it is, because it was set to be shown; a long text or array of bytes is cut, because it
    /// may be the peer's. The Tag of a compiled handler is its state: it is kept where it is a plain value or a text.
    /// </summary>
    internal static object? Of(object? tag) => tag is Session session ? Cut(session.Tag) : IsPlain(tag) ? Cut(tag) : null;

    /// <summary>A text or an array of bytes of bounded length; any other object as it is.</summary>
    internal static object? Cut(object? tag) => tag switch
    {
        string { Length: > Longest } text => string.Concat(text.AsSpan(0, Longest - 1), "…"),
        byte[] { Length: > Longest } bytes => bytes[..Longest],
        _ => tag,
    };

    private static bool IsPlain(object? tag) =>
        tag is string or decimal or DateTime or DateTimeOffset or TimeSpan or Guid or DateOnly or TimeOnly or Enum or IPAddress or IPEndPoint
        || tag?.GetType().IsPrimitive == true;
}
