using System.ComponentModel;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// The value of -InputObject of a cmdlet that acts on connections: a connection of this process, or something else. A target can be made from any
/// object, so that every object of a pipeline reaches -InputObject, and an error can name the object if it is wrong.
/// </summary>
/// <remarks>Jobs, processes and servers have an Id, too. A connection that happens to have the same number is never meant.</remarks>
[TypeConverter(typeof(TargetConverter))]
public sealed class ConnectionTarget
{
    /// <summary>Makes a target. The cmdlet, not this constructor, reports an object that is not a connection.</summary>
    /// <param name="value">A connection, or any other object.</param>
    public ConnectionTarget(object? value)
    {
        Value = Argument.Unwrap(value) is PSCustomObject ? value : Argument.Unwrap(value);
        switch (Value)
        {
            case Connection connection:
                Server = connection.Server;
                Name = $"{connection} of {connection.ServerName}";
                break;
            case LiveConnection connection:
                Server = connection.Server;
                Name = $"{connection} of {connection.ServerName}";
                break;
            default:
                All = Value switch
                {
                    Server server => new ServerSelector(server),
                    Worker worker => new ServerSelector(worker),
                    _ => null,
                };
                Problem = TargetProblem.For(
                    value, "connection", "Put Get-C10kConnection between: it takes servers, workers and the like, and writes their connections.",
                    "Give what Get-C10kConnection writes, or a connection's number as -Id.");
                break;
        }
    }

    /// <summary>The object that was given.</summary>
    public object? Value { get; }

    /// <summary>The connection's server. Null if there is a problem.</summary>
    internal Server? Server { get; }

    /// <summary>
    /// The reference by which the engine finds the connection. It is not a field, because a field of the engine's struct type would load the
    /// engine together with the cmdlets.
    /// </summary>
    internal Engine.ConnectionRef Reference =>
        Value is Connection row ? row.ToReference() : new Engine.ConnectionRef(((LiveConnection)Value!).Id);

    /// <summary>The full name of the connection, for the question whether to act on it.</summary>
    internal string Name { get; } = "";

    /// <summary>A server or a worker that was given. A cmdlet may take it for all of its connections.</summary>
    internal ServerSelector? All { get; }

    internal TargetProblem? Problem { get; }

    /// <summary>A short text for the object that was given.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => Value?.ToString() ?? "";
}
