using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kServer: gets the servers of this process.</summary>
[Cmdlet(VerbsCommon.Get, "C10kServer", DefaultParameterSetName = ByName, HelpUri = OnlineHelp)]
[OutputType(typeof(Server))]
public sealed class GetC10kServerCommand : C10kCmdlet
{
    private const string ByName = "Name";
    private const string ById = "Id";

    /// <summary>The servers' names, with wildcards.</summary>
    [Parameter(Position = 0, ParameterSetName = ByName, ValueFromPipelineByPropertyName = true)]
    [Alias("ServerName")]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public string[]? Name { get; set; }

    /// <summary>The servers' Ids.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ById, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ServerIdCompleter))]
    public int[]? Id { get; set; }

    /// <summary>The scope of the search: the servers of the process, or of this runspace.</summary>
    [Parameter]
    public ServerScope Scope { get; set; }

    /// <summary>The states wanted.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public ServerState[]? State { get; set; }

    /// <summary>The ports wanted: gets servers that listen on one of them.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ValidateRange(1, 65535)]
    public int[]? Port { get; set; }

    /// <summary>Writes the servers.</summary>
    protected override void ProcessRecord()
    {
        IEnumerable<Server> servers =
            Id is not null ? Id.SelectMany(id => FindServers(id))
            : Name is not null ? Name.SelectMany(FindServers)
            : ServerRegistry.List();
        foreach (Server server in servers.Distinct())
        {
            if (IsWanted(server))
            {
                WriteObject(server);
            }
        }
    }

    private bool IsWanted(Server server) =>
        (Scope == ServerScope.Process || server.Runspace == CurrentRunspace)
        && (State is null || State.Contains(server.State))
        && (Port is null || server.EndPoints.Any(endPoint => endPoint is IPEndPoint ip && Port.Contains(ip.Port)));
}
