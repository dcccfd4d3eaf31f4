using System.Globalization;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Says the local date and time in a line and closes, see RFC 867: "Tuesday, February 22, 2022 17:37:43+01:00", in English whatever
/// the culture. Keeps no state: one serves all connections.
/// </summary>
public sealed class DaytimeHandler : ConnectionHandler
{
    /// <summary>What a line takes at most: "Wednesday, September 30, 2026 00:00:00+01:00" and its end.</summary>
    internal const int MaxLength = 64;

    /// <inheritdoc/>
    public override void OnOpen(Connection connection)
    {
        Span<byte> line = stackalloc byte[MaxLength];
        connection.Write(line[..Format(DateTimeOffset.Now, line)]);
        connection.Close();
    }

    /// <summary>Writes the line with its CRLF. Returns its length.</summary>
    internal static int Format(DateTimeOffset now, Span<byte> line)
    {
        bool fits = now.TryFormat(line, out int length, "dddd, MMMM d, yyyy HH:mm:sszzz'\r\n'", CultureInfo.InvariantCulture);
        return fits ? length : throw new ArgumentException("There is no room for the line.", nameof(line));
    }
}
