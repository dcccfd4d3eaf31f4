namespace C10kServer.Engine;

/// <summary>
/// What a protocol implements. A server's factory makes one per connection, or gives the same one to all where it keeps no state
/// (<see cref="Connection.Tag"/> is a place for a connection's own). Every method runs on the thread of the worker that owns
/// the connection, never nested in another, and must not block: the worker's other connections wait meanwhile. An exception
/// closes the connection with <see cref="CloseReason.HandlerError"/> and touches no other.
/// </summary>
public abstract class ConnectionHandler
{
    /// <summary>The connection is open. First of all calls.</summary>
    public virtual void OnOpen(Connection connection)
    {
    }

    /// <summary>
    /// Bytes have come, as they came: a message may be spread over several calls, or one call may hold several. Where the server has a
    /// <see cref="ServerOptions.Framing"/>, each call has one whole message. The span is valid during the call. Not called once the
    /// handler has asked with <see cref="Connection.Read"/> or <see cref="Connection.ReadUntil"/>: from then on bytes wait for its requests.
    /// </summary>
    public virtual void OnReceived(Connection connection, ReadOnlySpan<byte> data)
    {
    }

    /// <summary>
    /// The peer has finished sending and may still read: answers can be written. The default closes, after the queued output.
    /// </summary>
    public virtual void OnPeerClosed(Connection connection) => connection.Close();

    /// <summary>
    /// Queued output, which had been above the high-water mark, is down to half of it.
    /// </summary>
    public virtual void OnDrained(Connection connection)
    {
    }

    /// <summary>
    /// The connection is over, for <see cref="Connection.CloseReason"/>. Last of all calls, once, after every request's callback.
    /// </summary>
    public virtual void OnClosed(Connection connection)
    {
    }
}
