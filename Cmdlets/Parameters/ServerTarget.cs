using System.ComponentModel;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// The value of -InputObject of a cmdlet about servers: a server of this process, a name with or without wildcards, or something else. A
/// target can be made from any object, so that every object of a pipeline reaches -InputObject, and an error can name the object if it is wrong.
/// </summary>
[TypeConverter(typeof(TargetConverter))]
public sealed class ServerTarget
{
    /// <summary>Makes a target. The cmdlet, not this constructor, reports an object that is not a server.</summary>
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

    /// <summary>The object that was given.</summary>
    public object? Value { get; }

    internal Server? Server { get; }

    internal string? Name { get; }

    internal TargetProblem? Problem { get; }

    /// <summary>A short text for the object that was given.</summary>
    /// <returns>A name, or a short text for an object.</returns>
    public override string ToString() => Value?.ToString() ?? "";
}
