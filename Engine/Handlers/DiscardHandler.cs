namespace C10kServer.Engine.Handlers;

/// <summary>Reads everything and sends nothing, see RFC 863. The handler keeps no state, so one object serves all connections.</summary>
public sealed class DiscardHandler : ConnectionHandler;
