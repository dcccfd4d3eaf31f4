namespace C10kServer.Engine;

/// <summary>
/// A connection on its way from one worker to another. It is in no worker's table and in no worker's epoll. The holder of this object owns
/// the connection. Queued output travels as bytes, because blocks belong to a worker's pool. Half-read requests travel with the connection.
/// </summary>
internal sealed record ConnectionTransfer(Connection Connection, byte[] Output);
