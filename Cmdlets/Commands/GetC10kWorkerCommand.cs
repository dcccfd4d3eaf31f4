using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kWorker: gets the worker threads of servers.</summary>
[Cmdlet(VerbsCommon.Get, "C10kWorker", HelpUri = OnlineHelp)]
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
        foreach (Target target in FindTargets(Server))
        {
            foreach (Worker worker in target.Server.Workers)
            {
                if ((target.Worker is null || worker.Id == target.Worker) && (Id is null || Id.Contains(worker.Id)))
                {
                    _missing.Remove(worker.Id);
                    WriteObject(worker);
                }
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
}
