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
                Write(server, selector);
            }
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

    private void Write(Server server, ServerSelector? selector)
    {
        // Left by an exception when the pipeline stops (Select-Object -First 1, Ctrl+C): then the walk ends with it.
        using Engine.ConnectionWalk walk = server.Walk(Filter(selector));
        try
        {
            while (walk.TryTake(C10kServer.Server.AnswerTimeout, StopToken, out IReadOnlyList<Engine.ConnectionInfo>? portion))
            {
                foreach (Engine.ConnectionInfo info in portion!)
                {
                    Write(server, selector, info);
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
            WriteNotResponding(Messages.WorkerSilent(server, worker), server);
        }
    }

    private void Write(Server server, ServerSelector? selector, Engine.ConnectionInfo info)
    {
        if (Id is not null)
        {
            _missing.Remove(info.Id);
        }

        if (selector?.Connection is long only && info.Id != only)
        {
            return;
        }

        Connection connection = new(server, info);
        if (IsWanted(connection, selector))
        {
            WriteObject(connection);
        }
    }

    /// <summary>What the engine can leave out. Ids go alone: one that is there in another state is no error.</summary>
    private Engine.ConnectionFilter Filter(ServerSelector? selector)
    {
        if (Id is not null)
        {
            return new Engine.ConnectionFilter { Ids = Id };
        }

        if (selector?.Connection is long connection)
        {
            return new Engine.ConnectionFilter { Ids = [connection] };
        }

        return new Engine.ConnectionFilter
        {
            Workers = selector?.Worker is int worker ? [worker] : Worker,
            States = State?.Select(state => (Engine.ConnectionState)state).ToArray(),
        };
    }

    private bool IsWanted(Connection connection, ServerSelector? selector) =>
        (State is null || State.Contains(connection.State))
        && (Worker is null || Worker.Contains(connection.Worker))
        && (selector?.Worker is null || selector.Connection is not null || selector.Worker == connection.Worker)
        && (RemoteAddress is null || IsFrom(connection.RemoteAddress));

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
