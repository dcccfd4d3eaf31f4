namespace C10kServer.Engine.Handlers;

/// <summary>Reads and answers nothing, see RFC 863. Keeps no state: one serves all connections.</summary>
public sealed class DiscardHandler : ConnectionHandler;
