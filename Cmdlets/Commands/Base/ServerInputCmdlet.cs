using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>
/// A cmdlet about servers: by name, by Id, or as objects. A target is mandatory, because a call without one must not act on all.
/// </summary>
public abstract class ServerInputCmdlet : C10kCmdlet
{
    private const string ByName = "Name";
    private const string ById = "Id";
    private protected const string ByObject = "InputObject";

    /// <summary>The servers' names, with wildcards.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ByName)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public string[]? Name { get; set; }

    /// <summary>The servers' Ids.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ById)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ServerIdCompleter))]
    public int[]? Id { get; set; }

    /// <summary>The servers themselves, or their names with wildcards.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByObject, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerTarget[]? InputObject { get; set; }

    /// <summary>Passes each target to <see cref="Take"/>.</summary>
    protected override void ProcessRecord()
    {
        foreach (Server server in FindServers(Name, Id, InputObject))
        {
            Take(server);
        }
    }

    /// <summary>Does the cmdlet's work for one server.</summary>
    /// <param name="server">The target.</param>
    protected abstract void Take(Server server);
}
