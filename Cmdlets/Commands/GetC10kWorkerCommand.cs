using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kWorker: gets the worker threads of servers.</summary>
[Cmdlet(VerbsCommon.Get, "C10kWorker")]
[OutputType(typeof(Worker))]
public sealed class GetC10kWorkerCommand : C10kCmdlet
{
    private readonly HashSet<int> _missing = [];

    /// <summary>The servers: objects, names with wildcards, or Ids.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerSelector[]? Server { get; set; }

    /// <summary>The workers' numbers, from 0 in each server.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(WorkerIdCompleter))]
    public int[]? Id { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        _missing.UnionWith(Id ?? []);
    }

    /// <summary>Writes the workers.</summary>
    protected override void ProcessRecord()
    {
        if (Server is null)
        {
            foreach (Server server in ServerRegistry.List())
            {
                Write(server, null);
            }

            return;
        }

        foreach (ServerSelector selector in Server)
        {
            foreach (Server server in FindServers(selector))
            {
                Write(server, selector.Worker);
            }
        }
    }

    /// <summary>Reports the numbers that no server had.</summary>
    protected override void EndProcessing()
    {
        foreach (int id in _missing)
        {
            WriteNotFound("WorkerNotFound", $"There is no worker {id}. Get-C10kWorker lists those that there are.", id);
        }
    }

    private void Write(Server server, int? only)
    {
        foreach (Worker worker in server.Workers)
        {
            if ((only is null || worker.Id == only) && (Id is null || Id.Contains(worker.Id)))
            {
                _missing.Remove(worker.Id);
                WriteObject(worker);
            }
        }
    }
}
