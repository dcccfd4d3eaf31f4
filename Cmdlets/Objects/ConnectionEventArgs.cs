namespace C10kServer;

/// <summary>The data of a server's events ConnectionOpened and ConnectionClosed.</summary>
public sealed class ConnectionEventArgs : EventArgs
{
    internal ConnectionEventArgs(Server server, Connection connection)
    {
        Server = server;
        Connection = connection;
    }

    /// <summary>The server.</summary>
    public Server Server { get; }

    /// <summary>The connection as it was when the event happened.</summary>
    public Connection Connection { get; }

    /// <summary>A short text for the event.</summary>
    /// <returns>For instance "C10k1: #17 192.0.2.7:50112 Closed".</returns>
    public override string ToString() => $"{Server.Name}: {Connection} {Connection.State}";
}
