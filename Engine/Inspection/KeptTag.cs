using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// The part of a connection's Tag that is kept after the connection has ended. The ring holds the last 1,024 connections of a server, so the
/// part that it keeps must not grow with what peers send (pitfall 54) and must not keep a handler's state alive.
/// </summary>
internal static class KeptTag
{
    /// <summary>How many characters of a text, or bytes of an array, are kept.</summary>
    internal const int Longest = 1024;

    /// <summary>
    /// The Tag of a script's handler is kept, because the script set it to be shown. Only a long text or array of bytes is cut, because it may
    /// come from the peer. The Tag of a compiled handler is the handler's state, and is kept only if it is a plain value or a text.
    /// </summary>
    internal static object? Of(object? tag) => tag is Session session ? Cut(session.Tag) : IsPlain(tag) ? Cut(tag) : null;

    /// <summary>Cuts a text or an array of bytes to the bounded length. Any other object is returned as it is.</summary>
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
