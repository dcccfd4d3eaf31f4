using System.Buffers.Binary;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Sends the time as four bytes and closes, see RFC 868: the seconds since 1900 in UTC, big-endian. Four bytes are too few from 2036 on. The
/// count then begins at 0 again, because it is the number of seconds modulo 2^32. The handler keeps no state, so one object serves all
/// connections.
/// </summary>
public sealed class TimeHandler : ConnectionHandler
{
    // The seconds from 1900-01-01 to 1970-01-01, as in the RFC.
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
