using System.Buffers.Binary;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Says the time as four bytes and closes, see RFC 868: the seconds since 1900 in UTC, big-endian. They are too few from 2036 on, where
/// the count begins at 0 again: it is that of the seconds modulo 2^32. Keeps no state: one serves all connections.
/// </summary>
public sealed class TimeHandler : ConnectionHandler
{
    // From 1900-01-01 to 1970-01-01, as the RFC has it.
    private const long UnixEpoch = 2_208_988_800;

    /// <inheritdoc/>
    public override void OnOpen(Connection connection)
    {
        Span<byte> time = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(time, Seconds(DateTimeOffset.UtcNow));
        connection.Write(time);
        connection.Close();
    }

    internal static uint Seconds(DateTimeOffset now) => unchecked((uint)(now.ToUnixTimeSeconds() + UnixEpoch));
}
