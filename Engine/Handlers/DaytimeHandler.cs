using System.Globalization;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Sends the local date and time in one line and closes, see RFC 867: "Tuesday, February 22, 2022 17:37:43+01:00", in English in every
/// culture. The handler keeps no state, so one object serves all connections.
/// </summary>
public sealed class DaytimeHandler : ConnectionHandler
{
    /// <summary>Room for the longest line, in bytes: "Wednesday, September 30, 2026 00:00:00+01:00" and its CRLF.</summary>
    internal const int MaxLength = 64;

    /// <inheritdoc/>
    public override void OnOpen(Connection connection)
    {
        Span<byte> line = stackalloc byte[MaxLength];
        connection.Write(line[..Format(DateTimeOffset.Now, line)]);
        connection.Close();
    }

    /// <summary>Writes the line with its CRLF into a span. Returns the line's length in bytes.</summary>
    internal static int Format(DateTimeOffset now, Span<byte> line)
    {
        bool fits = now.TryFormat(line, out int length, "dddd, MMMM d, yyyy HH:mm:sszzz'\r\n'", CultureInfo.InvariantCulture);
        return fits ? length : throw new ArgumentException("There is no room for the line.", nameof(line));
    }
}
