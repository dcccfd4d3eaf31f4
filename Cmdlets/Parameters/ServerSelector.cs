namespace C10kServer.Parameters;

/// <summary>Says which servers to look into. The shell makes one of a name, a number, or an object of this module.</summary>
public sealed class ServerSelector
{
    private readonly object _what;

    /// <summary>The server itself, whether it runs or not.</summary>
    /// <param name="server">The server.</param>
    public ServerSelector(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        _what = Server = server;
    }

    /// <summary>The server of a worker, and in it that worker alone.</summary>
    /// <param name="worker">The worker.</param>
    public ServerSelector(Worker worker)
    {
        ArgumentNullException.ThrowIfNull(worker);
        _what = worker;
        Server = worker.Server;
        Worker = worker.Id;
    }

    /// <summary>The server of a connection, and in it that connection alone.</summary>
    /// <param name="connection">The connection.</param>
    public ServerSelector(Connection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        _what = connection;
        Server = connection.Server;
        Worker = connection.Worker;
        Connection = connection.Id;
    }

    /// <summary>The server that a record was logged by.</summary>
    /// <param name="record">The record.</param>
    public ServerSelector(LogRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        _what = record;
        Server = record.Server;
    }

    /// <summary>The server that a sample is of.</summary>
    /// <param name="sample">The sample.</param>
    public ServerSelector(Sample sample)
    {
        ArgumentNullException.ThrowIfNull(sample);
        _what = sample;
        Server = sample.Server;
    }

    /// <summary>The server of a connection in a handler's hands, and in it that connection alone.</summary>
    /// <param name="connection">The connection.</param>
    public ServerSelector(LiveConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        _what = connection;
        Server = connection.Server;
        Connection = connection.Id;
    }

    /// <summary>The servers whose name matches.</summary>
    /// <param name="name">A name, or a pattern with wildcards.</param>
    public ServerSelector(string name)
    {
        if (string.IsNullOrEmpty(name))
        {
            // The shell shows it to who gave the empty string.
            throw new ArgumentException("No server's name is empty. Give a name, with wildcards if need be, an Id, or a server object.");
        }

        _what = Name = name;
    }

    /// <summary>The server of that number.</summary>
    /// <param name="id">The Id. A long, since whole numbers from JSON are; the shell would make a name of one otherwise.</param>
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

    /// <summary>What the selector was made of.</summary>
    /// <returns>A name, a number, or an object in short.</returns>
    public override string ToString() => _what.ToString() ?? "";
}
