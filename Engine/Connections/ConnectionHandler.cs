namespace C10kServer.Engine;

/// <summary>
/// The base class of a protocol. A server's factory makes one handler per connection, or gives the same one to all connections if the
/// handler keeps no state (<see cref="Connection.Tag"/> is a place for a connection's own state). Every method runs on the thread of the
/// worker that owns the connection, and is never nested in another one. A method must not block, because the worker's other connections
/// wait meanwhile. An exception closes the connection with <see cref="CloseReason.HandlerError"/> and affects no other connection.
/// </summary>
public abstract class ConnectionHandler
{
    /// <summary>The connection is open. This is the first of all calls.</summary>
    public virtual void OnOpen(Connection connection)
    {
    }

    /// <summary>
    /// Bytes have come. They are passed on as they came: a message may be spread over several calls, or one call may have several messages.
    /// If the server has a <see cref="ServerOptions.Framing"/>, each call has one complete message. The span is valid during the call. This
    /// method is not called any more once the handler has asked for bytes with <see cref="Connection.Read"/> or
    /// <see cref="Connection.ReadUntil"/>: from then on, bytes wait for the handler's requests.
    /// </summary>
    public virtual void OnReceived(Connection connection, ReadOnlySpan<byte> data)
    {
    }

    /// <summary>
    /// The peer has finished sending and may still read, so answers can be written. The default closes the connection, after the queued
    /// output.
    /// </summary>
    public virtual void OnPeerClosed(Connection connection) => connection.Close();

    /// <summary>The queued output had been above the high-water mark and is now down to half of it.</summary>
    public virtual void OnDrained(Connection connection)
    {
    }

    /// <summary>
    /// The connection has ended, for <see cref="Connection.CloseReason"/>. This is the last of all calls. It comes once, after every
    /// request's callback.
    /// </summary>
    public virtual void OnClosed(Connection connection)
    {
    }
}
