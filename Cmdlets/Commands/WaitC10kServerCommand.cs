using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Wait-C10kServer: waits until servers have a state or a number of connections, and writes each server that has reached it.</summary>
[Cmdlet(VerbsLifecycle.Wait, "C10kServer", DefaultParameterSetName = ObjectAndState, HelpUri = OnlineHelp)]
[OutputType(typeof(Server))]
public sealed class WaitC10kServerCommand : C10kCmdlet
{
    private const string NameAndState = "NameAndState";
    private const string NameAndCount = "NameAndCount";
    private const string IdAndState = "IdAndState";
    private const string IdAndCount = "IdAndCount";
    private const string ObjectAndState = "ObjectAndState";
    private const string ObjectAndCount = "ObjectAndCount";

    private readonly List<Server> _waiting = [];

    /// <summary>The servers' names, with wildcards.</summary>
    [Parameter(Mandatory = true, ParameterSetName = NameAndState)]
    [Parameter(Mandatory = true, ParameterSetName = NameAndCount)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public string[]? Name { get; set; }

    /// <summary>The servers' Ids.</summary>
    [Parameter(Mandatory = true, ParameterSetName = IdAndState)]
    [Parameter(Mandatory = true, ParameterSetName = IdAndCount)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ServerIdCompleter))]
    public int[]? Id { get; set; }

    /// <summary>The servers themselves.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ObjectAndState, ValueFromPipeline = true)]
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ObjectAndCount, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerTarget[]? InputObject { get; set; }

    /// <summary>The states to wait for. Any of them ends the wait.</summary>
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = NameAndState)]
    [Parameter(Mandatory = true, ParameterSetName = IdAndState)]
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = ObjectAndState)]
    [ValidateNotNullOrEmpty]
    public ServerState[]? State { get; set; }

    /// <summary>The number of connections to wait for.</summary>
    [Parameter(Mandatory = true, ParameterSetName = NameAndCount)]
    [Parameter(Mandatory = true, ParameterSetName = IdAndCount)]
    [Parameter(Mandatory = true, ParameterSetName = ObjectAndCount)]
    [ValidateRange(0, int.MaxValue)]
    public int ConnectionCount { get; set; }

    /// <summary>How the number of connections is compared with that number.</summary>
    [Parameter(ParameterSetName = NameAndCount)]
    [Parameter(ParameterSetName = IdAndCount)]
    [Parameter(ParameterSetName = ObjectAndCount)]
    public CountComparison Comparison { get; set; }

    /// <summary>How long to wait, for all servers together.</summary>
    [Parameter]
    public Duration Timeout { get; set; } = new(TimeSpan.FromSeconds(60));

    // By default the count is a minimum. A user who waits for 100 connections can go on with 101, and the 101st may arrive before the count
    // is read. A count of 0 can only mean that all connections have gone, because every number is 0 or more.
    private CountComparison Wanted =>
        IsGiven(nameof(Comparison)) ? Comparison : ConnectionCount == 0 ? CountComparison.Equal : CountComparison.GreaterOrEqual;

    /// <summary>Writes the servers that have already reached the goal.</summary>
    protected override void ProcessRecord()
    {
        foreach (Server server in FindServers(Name, Id, InputObject))
        {
            if (!_waiting.Contains(server) && !IsSettled(server))
            {
                _waiting.Add(server);
            }
        }
    }

    /// <summary>Waits for the other servers.</summary>
    protected override void EndProcessing()
    {
        Patience patience = new(this, "Waiting", Timeout, StopToken);
        while (_waiting.Count > 0 && patience.Wait(Describe))
        {
            foreach (Server server in _waiting.Where(IsSettled).ToArray())
            {
                _waiting.Remove(server);
            }
        }

        patience.End();
        foreach (Server server in _waiting)
        {
            WriteError(new ErrorRecord(
                new TimeoutException($"{server.Name} was not {Goal()} within {Messages.Seconds(Timeout)}: it {Present(server)}. -Timeout allows more."),
                "WaitTimeout", ErrorCategory.OperationTimeout, server));
        }
    }

    /// <summary>Whether the wait for a server has ended: the server was written, or the error that it will never reach the goal.</summary>
    private bool IsSettled(Server server)
    {
        // This is read first. A server that ends between this read and the next one is then looked at once more.
        bool over = server.IsOver;
        if (IsReached(server))
        {
            WriteObject(server);
            return true;
        }

        if (!over)
        {
            return false;
        }

        WriteError(new ErrorRecord(
            new InvalidOperationException(
                $"{server.Name} {Present(server)}, so it will not be {Goal()}. Restart-C10kServer takes the server object, and starts it again."),
            "WaitFailed", ErrorCategory.OperationStopped, server));
        return true;
    }

    private bool IsReached(Server server)
    {
        if (State is not null)
        {
            // A server is also Stopped between the two halves of a restart, and nobody waits for that.
            ServerState now = server.State;
            return State.Contains(now) && (now != ServerState.Stopped || server.IsOver);
        }

        int count = server.ConnectionCount;
        return Wanted switch
        {
            CountComparison.Equal => count == ConnectionCount,
            CountComparison.GreaterOrEqual => count >= ConnectionCount,
            CountComparison.LessOrEqual => count <= ConnectionCount,
            CountComparison.Greater => count > ConnectionCount,
            _ => count < ConnectionCount,
        };
    }

    private string Goal() => State is not null
        ? string.Join(" or ", State)
        : Wanted switch
        {
            CountComparison.Equal => $"at {Messages.Connections(ConnectionCount)}",
            CountComparison.GreaterOrEqual => $"at {Messages.Connections(ConnectionCount)} or more",
            CountComparison.LessOrEqual => $"at {Messages.Connections(ConnectionCount)} or less",
            CountComparison.Greater => $"above {Messages.Connections(ConnectionCount)}",
            _ => $"below {Messages.Connections(ConnectionCount)}",
        };

    private static string Present(Server server) => $"is {server.State}, with {Messages.Connections(server.ConnectionCount)}";

    private (string Status, int Percent) Describe()
    {
        Server first = _waiting[0];
        string others = _waiting.Count == 1 ? "" : $", and {_waiting.Count - 1} more";
        int percent = State is null && Wanted == CountComparison.GreaterOrEqual && _waiting.Count == 1
            ? (int)Math.Min(100, 100L * first.ConnectionCount / ConnectionCount)
            : -1;
        return ($"for {Goal()}: {first.Name} {Present(first)}{others}", percent);
    }
}
