namespace C10kServer.Parameters;

/// <summary>
/// Selects the servers that a cmdlet looks into. The shell makes a selector from a name, a number, or an object of this module.
/// </summary>
public sealed class ServerSelector
{
    private readonly object _what;

    /// <summary>Selects the server itself, whether it runs or not.</summary>
    /// <param name="server">The server.</param>
    public ServerSelector(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        _what = Server = server;
    }

    /// <summary>Selects the server of a worker, and in that server this worker only.</summary>
    /// <param name="worker">The worker.</param>
    public ServerSelector(Worker worker)
    {
        ArgumentNullException.ThrowIfNull(worker);
        _what = worker;
        Server = worker.Server;
        Worker = worker.Id;
    }

    /// <summary>Selects the server of a connection, and in that server this connection only.</summary>
    /// <param name="connection">The connection.</param>
    public ServerSelector(Connection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        _what = connection;
        Server = connection.Server;
        Worker = connection.Worker;
        Connection = connection.Id;
    }

    /// <summary>Selects the server that logged a record.</summary>
    /// <param name="record">The record.</param>
    public ServerSelector(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        _what = record;
        Server = record.Server;
    }

    /// <summary>Selects the server that a sample is about.</summary>
    /// <param name="sample">The sample.</param>
    public ServerSelector(Sample sample)
    {
        ArgumentNullException.ThrowIfNull(sample);
        _what = sample;
        Server = sample.Server;
    }

    /// <summary>Selects the server of a connection that a handler has, and in that server this connection only.</summary>
    /// <param name="connection">The connection.</param>
    public ServerSelector(LiveConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        _what = connection;
        Server = connection.Server;
        Connection = connection.Id;
    }

    /// <summary>Selects the servers whose names match.</summary>
    /// <param name="name">A name, or a pattern with wildcards.</param>
    public ServerSelector(string name)
    {
        if (string.IsNullOrEmpty(name))
        {
            // The shell shows this message to the user who gave the empty string.
            throw new ArgumentException("No server's name is empty. Give a name, with wildcards if need be, an Id, or a server object.");
        }

        _what = Name = name;
    }

    /// <summary>Selects the server with that Id.</summary>
    /// <param name="id">The Id. Its type is long, because whole numbers from JSON are long, and the shell would otherwise turn such a number
    /// into a name.</param>
    public ServerSelector(long id)
    {
        _what = id;
        Id = id;
    }

    internal Server? Server { get; }

    internal string? Name { get; }

    internal long Id { get; }

    internal int? Worker { get; }

    internal long? Connection { get; }

    /// <summary>The value that the selector was made from.</summary>
    /// <returns>A name, a number, or a short text for an object.</returns>
    public override string ToString() => _what.ToString() ?? "";
}
