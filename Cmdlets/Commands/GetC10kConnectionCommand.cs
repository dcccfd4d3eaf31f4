using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Get-C10kConnection: gets the connections of servers as they arrive, or the connections that ended last.</summary>
[Cmdlet(VerbsCommon.Get, "C10kConnection", DefaultParameterSetName = LiveSet, HelpUri = OnlineHelp)]
[OutputType(typeof(Connection))]
public sealed class GetC10kConnectionCommand : C10kCmdlet
{
    private const string LiveSet = "Live";
    private const string ClosedSet = "Closed";

    // The views recognise this name and give connections that have ended a table of their own, with the reason.
    private const string ClosedTypeName = "C10kServer.Connection#Closed";

    private readonly HashSet<long> _missing = [];
    private readonly List<Connection> _closed = [];
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

    /// <summary>The shortest time for which nothing has been received or sent.</summary>
    [Parameter]
    public Duration MinimumIdle { get; set; }

    /// <summary>The shortest time since the connection was accepted. For a connection that has ended, the shortest time that it lasted.</summary>
    [Parameter]
    public Duration MinimumAge { get; set; }

    /// <summary>Adds the kernel's details of each connection to the rows.</summary>
    [Parameter(ParameterSetName = LiveSet)]
    public SwitchParameter TcpInfo { get; set; }

    /// <summary>Gets the connections that ended last, instead of the open ones.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ClosedSet)]
    public SwitchParameter Closed { get; set; }

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
            if (Closed)
            {
                FindClosed(target);
            }
            else
            {
                Write(target);
            }
        }
    }

    /// <summary>Writes the connections that have ended, and reports the Ids that no server had.</summary>
    protected override void EndProcessing()
    {
        WriteClosed();

        // If a worker did not answer, the missing connections may exist on that worker.
        if (_complete)
        {
            foreach (long id in _missing)
            {
                WriteMissing(id);
            }
        }
    }

    private void FindClosed(Target target)
    {
        bool found = false;
        foreach (Connection connection in target.Server.GetClosed())
        {
            _missing.Remove(connection.Id);
            found |= connection.Id == target.Connection;
            if ((Id is null || Id.Contains(connection.Id)) && IsWanted(connection, target))
            {
                _closed.Add(connection);
            }
        }

        if (target.Connection is long given && !found)
        {
            WriteMissing(given);
        }
    }

    /// <summary>
    /// Writes the connections that have ended, of all servers together, because the newest of all servers come first. They are few, because
    /// each server keeps a bounded number.
    /// </summary>
    private void WriteClosed()
    {
        foreach (Connection connection in _closed.OrderByDescending(connection => connection.EndTime))
        {
            PSObject row = new(connection);
            row.TypeNames.Insert(0, ClosedTypeName);
            WriteObject(row);
        }
    }

    private void Write(Target target)
    {
        // When the pipeline stops (Select-Object -First 1, Ctrl+C), an exception leaves this method and ends the walk.
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
            WriteMissing(given);
        }
    }

    private void WriteMissing(long id) =>
        WriteNotFound("ConnectionNotFound", Closed ? Messages.ConnectionNotClosed(id) : Messages.ConnectionGone(id), id);

    /// <summary>
    /// The part of the filter that the engine applies. If Ids are given, the engine filters by Id alone, because a connection that exists in
    /// another state is not an error.
    /// </summary>
    private Engine.ConnectionQuery Filter(Target target)
    {
        if (Id is not null)
        {
            return new Engine.ConnectionQuery { Ids = Id.ToHashSet(), WithTcp = TcpInfo };
        }

        if (target.Connection is long connection)
        {
            return new Engine.ConnectionQuery { Ids = [connection], WithTcp = TcpInfo };
        }

        return new Engine.ConnectionQuery
        {
            Workers = target.Worker is int worker ? [worker] : Worker,
            States = State?.Select(state => (Engine.ConnectionState)state).ToArray(),
            MinimumIdle = MinimumIdle,
            MinimumAge = MinimumAge,
            WithTcp = TcpInfo,
        };
    }

    // A connection that was given may have moved to another worker since, so its Id is compared and its worker is not.
    private bool IsWanted(Connection connection, Target target) =>
        (target.Connection is long id ? id == connection.Id : target.Worker is null || target.Worker == connection.Worker)
        && (State is null || State.Contains(connection.State))
        && (Worker is null || Worker.Contains(connection.Worker))
        && connection.IdleTime >= MinimumIdle.TimeSpan
        && connection.Age >= MinimumAge.TimeSpan
        && (RemoteAddress is null || (connection.RemoteAddress is IPAddress address && IsFrom(address)));

    private bool IsFrom(IPAddress address)
    {
        foreach (IPNetwork network in RemoteAddress!)
        {
            if (NetworkAttribute.Contains(network, address))
            {
                return true;
            }
        }

        return false;
    }
}
