using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>ConvertTo-C10kPrometheus: writes the figures of servers in the text format of Prometheus.</summary>
[Cmdlet(VerbsData.ConvertTo, "C10kPrometheus", HelpUri = OnlineHelp)]
[OutputType(typeof(string))]
public sealed class ConvertToC10kPrometheusCommand : C10kCmdlet
{
    private readonly List<Server> _servers = [];

    /// <summary>The servers, or their names with wildcards.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerTarget[]? InputObject { get; set; }

    /// <summary>Collects the servers.</summary>
    protected override void ProcessRecord() => _servers.AddRange(FindServers(names: null, ids: null, InputObject));

    /// <summary>Writes one text for all servers, because the samples of a metric have to stand together.</summary>
    protected override void EndProcessing()
    {
        // A stopped server's name may belong to a newer server, and then only the newer one is written. Two samples of one name would be an
        // error.
        Server[] servers =
        [
            .. _servers.GroupBy(server => server.Name, StringComparer.Ordinal)
                .Select(group => group.MaxBy(server => server.Id)!)
                .OrderBy(server => server.Id),
        ];
        WriteObject(ServerMetrics.ToPrometheus(servers));
    }
}
