using System.ComponentModel;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// What -InputObject of a cmdlet about servers was given: a server of this process, a name with or without wildcards, or something that is
/// neither. It can be made from any object, so that every object of a pipeline arrives at -InputObject and is named in an error if it is wrong.
/// </summary>
[TypeConverter(typeof(TargetConverter))]
public sealed class ServerTarget
{
    /// <summary>Makes a target. An object that is not a server is an error of the cmdlet, not of this constructor.</summary>
    /// <param name="value">A server, a name, or any other object.</param>
    public ServerTarget(object? value)
    {
        Value = Argument.Unwrap(value) is PSCustomObject ? value : Argument.Unwrap(value);
        switch (Value)
        {
            case Server server:
                Server = server;
                break;
            case string { Length: > 0 } name:
                Name = name;
                break;
            default:
                Problem = TargetProblem.For(
                    value, "server", "Put Get-C10kServer between: it takes connections, workers and the like, and writes their server.",
                    "Give what Get-C10kServer writes, or a server's name.");
                break;
        }
    }

    /// <summary>What was given.</summary>
    public object? Value { get; }

    internal Server? Server { get; }

    internal string? Name { get; }

    internal TargetProblem? Problem { get; }

    /// <summary>What was given, in short.</summary>
    /// <returns>A name, or an object in short.</returns>
    public override string ToString() => Value?.ToString() ?? "";
}
