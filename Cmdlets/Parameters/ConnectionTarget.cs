using System.ComponentModel;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// What -InputObject of a cmdlet that acts on connections was given: a connection of this process, or something else. It can be made from any
/// object, so that every object of a pipeline arrives at -InputObject and is named in an error if it is wrong.
/// </summary>
/// <remarks>Jobs, processes and servers have an Id too. The connection that has the same number is never meant.</remarks>
[TypeConverter(typeof(TargetConverter))]
public sealed class ConnectionTarget
{
    /// <summary>Makes a target. An object that is not a connection is an error of the cmdlet, not of this constructor.</summary>
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

    /// <summary>What was given.</summary>
    public object? Value { get; }

    /// <summary>The connection's server; none where there is a problem.</summary>
    internal Server? Server { get; }

    /// <summary>Where the engine finds the connection. Not a field: a struct of the engine's would load the engine with the cmdlets.</summary>
    internal Engine.ConnectionRef Reference =>
        Value is Connection row ? row.ToReference() : new Engine.ConnectionRef(((LiveConnection)Value!).Id);

    /// <summary>The connection in full, for the question whether to act on it.</summary>
    internal string Name { get; } = "";

    /// <summary>A server or a worker, which a cmdlet may take for all of its connections.</summary>
    internal ServerSelector? All { get; }

    internal TargetProblem? Problem { get; }

    /// <summary>What was given, in short.</summary>
    /// <returns>For instance "#17 192.0.2.7:50112".</returns>
    public override string ToString() => Value?.ToString() ?? "";
}
