namespace C10kServer.Engine;

/// <summary>
/// A connection on its way from one worker to another. It is in neither's table and in neither's epoll; whoever holds this
/// owns it. Queued output travels as bytes, since blocks belong to a worker's pool; half-read requests travel with the connection.
/// </summary>
internal sealed record ConnectionTransfer(Connection Connection, byte[] Output);
