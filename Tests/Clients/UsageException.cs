namespace C10kServer.Clients;

/// <summary>What the command line asks for cannot be done on this machine; the message says why.</summary>
internal sealed class UsageException(string message) : Exception(message);
