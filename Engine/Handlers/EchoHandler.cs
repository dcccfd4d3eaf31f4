namespace C10kServer.Engine.Handlers;

/// <summary>Sends back what it receives, see RFC 862. The handler keeps no state, so one object serves all connections.</summary>
public sealed class EchoHandler : ConnectionHandler
{
    /// <inheritdoc/>
    public override void OnReceived(Connection connection, ReadOnlySpan<byte> data) => connection.Write(data);
}
