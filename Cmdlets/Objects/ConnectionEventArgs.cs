namespace C10kServer;

/// <summary>What the events ConnectionOpened and ConnectionClosed of a server tell.</summary>
public sealed class ConnectionEventArgs : EventArgs
{
    internal ConnectionEventArgs(Server server, Connection connection)
    {
        Server = server;
        Connection = connection;
    }

    /// <summary>The server.</summary>
    public Server Server { get; }

    /// <summary>The connection as it was at that moment.</summary>
    public Connection Connection { get; }

    /// <summary>The event in short.</summary>
    /// <returns>For instance "C10k1: #17 192.0.2.7:50112 Closed".</returns>
    public override string ToString() => $"{Server.Name}: {Connection} {Connection.State}";
}
