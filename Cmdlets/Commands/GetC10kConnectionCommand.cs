using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kConnection: gets the connections of servers, as they come.</summary>
[Cmdlet(VerbsCommon.Get, "C10kConnection")]
[OutputType(typeof(Connection))]
public sealed class GetC10kConnectionCommand : C10kCmdlet
{
    private readonly HashSet<long> _missing = [];
    private bool _complete = true;

    /// <summary>The servers: objects, names with wildcards, or Ids.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerSelector[]? Server { get; set; }

    /// <summary>The connections' Ids.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ConnectionIdCompleter))]
    public long[]? Id { get; set; }

    /// <summary>The states wanted.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public ConnectionState[]? State { get; set; }

    /// <summary>The peers wanted: addresses, or networks as address/prefix.</summary>
    [Parameter]
    [Network]
    [ValidateNotNullOrEmpty]
    public IPNetwork[]? RemoteAddress { get; set; }

    /// <summary>The numbers of the workers wanted.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(WorkerIdCompleter))]
    public int[]? Worker { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        _missing.UnionWith(Id ?? []);
    }

    /// <summary>Writes the connections.</summary>
    protected override void ProcessRecord()
    {
        foreach (Target target in FindTargets(Server))
        {
            Write(target);
        }
    }

    /// <summary>Reports the Ids that no server had.</summary>
    protected override void EndProcessing()
    {
        // Those of a worker that did not answer may well be there.
        if (_complete)
        {
            foreach (long id in _missing)
            {
                WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(id), id);
            }
        }
    }

    private void Write(Target target)
    {
        // Left by an exception when the pipeline stops (Select-Object -First 1, Ctrl+C): then the walk ends with it.
        using Engine.ConnectionWalk walk = target.Server.Walk(Filter(target));
        bool found = false;
        try
        {
            while (walk.TryTake(C10kServer.Server.AnswerTimeout, StopToken, out IReadOnlyList<Engine.ConnectionInfo>? portion))
            {
                foreach (Engine.ConnectionInfo info in portion!)
                {
                    _missing.Remove(info.Id);
                    found |= info.Id == target.Connection;
                    Connection connection = new(target.Server, info);
                    if (IsWanted(connection, target))
                    {
                        WriteObject(connection);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }

        foreach (int worker in walk.SilentWorkers)
        {
            _complete = false;
            WriteNotResponding(Messages.WorkerSilent(target.Server, worker), target.Server);
        }

        if (target.Connection is long given && !found && walk.SilentWorkers.Count == 0)
        {
            WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(given), given);
        }
    }

    /// <summary>What the engine can leave out. Ids go alone: one that is there in another state is no error.</summary>
    private Engine.ConnectionFilter Filter(Target target)
    {
        if (Id is not null)
        {
            return new Engine.ConnectionFilter { Ids = Id.ToHashSet() };
        }

        if (target.Connection is long connection)
        {
            return new Engine.ConnectionFilter { Ids = [connection] };
        }

        return new Engine.ConnectionFilter
        {
            Workers = target.Worker is int worker ? [worker] : Worker,
            States = State?.Select(state => (Engine.ConnectionState)state).ToArray(),
        };
    }

    // A connection that was given may have another worker by now, so only the one or the other narrows.
    private bool IsWanted(Connection connection, Target target) =>
        (target.Connection is long id ? id == connection.Id : target.Worker is null || target.Worker == connection.Worker)
        && (State is null || State.Contains(connection.State))
        && (Worker is null || Worker.Contains(connection.Worker))
        && (RemoteAddress is null || (connection.RemoteAddress is IPAddress address && IsFrom(address)));

    private bool IsFrom(IPAddress address)
    {
        foreach (IPNetwork network in RemoteAddress!)
        {
            if (network.Contains(address))
            {
                return true;
            }
        }

        return false;
    }
}
