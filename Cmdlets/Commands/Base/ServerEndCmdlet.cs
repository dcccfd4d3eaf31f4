using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>
/// A cmdlet that ends servers. With -Drain it first lets the connections finish, for all servers at the same time.
/// </summary>
public abstract class ServerEndCmdlet : ServerTargetCmdlet
{
    private readonly List<Server> _draining = [];

    // The servers whose drain this cmdlet ends, unless the cmdlet itself is stopped before.
    private readonly List<Server> _held = [];
    private int _connections;

    /// <summary>Lets the connections finish first.</summary>
    [Parameter]
    public SwitchParameter Drain { get; set; }

    /// <summary>How long the connections may take to finish, from the moment when the last server has begun to drain.</summary>
    [Parameter]
    public Duration Timeout { get; set; } = new(TimeSpan.FromSeconds(30));

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        if (IsGiven(nameof(Timeout)) && !Drain)
        {
            ThrowTerminatingError(new ErrorRecord(
                new ArgumentException("-Timeout is how long a drain may take: give -Drain with it."),
                "InvalidArgument", ErrorCategory.InvalidArgument, null));
        }
    }

    /// <summary>Ends a server, or begins to drain it.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the server was not ended, or is not ended yet.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        if (_draining.Contains(server) || !MayEnd(server))
        {
            return false;
        }

        if (Drain)
        {
            server.HoldDrain();
            _held.Add(server);
            if (server.BeginDrain())
            {
                _draining.Add(server);
                return false;
            }
        }

        return End(server);
    }

    /// <summary>Waits for all servers that drain, and ends each server when its drain is complete.</summary>
    protected override void EndProcessing()
    {
        if (_draining.Count == 0)
        {
            return;
        }

        _connections = Left();
        Patience patience = new(this, "Draining", Timeout, StopToken);
        do
        {
            foreach (Server server in _draining.Where(server => server.IsDrained || server.IsOver).ToArray())
            {
                _draining.Remove(server);
                WriteEnded(server, End(server));
            }
        }
        while (_draining.Count > 0 && patience.Wait(Describe));
        patience.End();
        foreach (Server server in _draining)
        {
            WriteEnded(server, EndUndrained(server));
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        // This also runs after Ctrl+C. From now on the drains end by themselves.
        _held.ForEach(static server => server.ReleaseDrain());
        _held.Clear();
        base.Dispose(disposing);
    }

    /// <summary>Whether the server can be ended and ShouldProcess permits it.</summary>
    /// <param name="server">The target.</param>
    /// <returns>True if the server may be ended.</returns>
    protected abstract bool MayEnd(Server server);

    /// <summary>Ends a server that has no connections left, or that must not wait for them.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the server was not ended.</returns>
    protected abstract bool End(Server server);

    /// <summary>Handles a server whose connections took too long to finish.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the server was not ended.</returns>
    protected abstract bool EndUndrained(Server server);

    private int Left() => _draining.Sum(server => server.ConnectionCount);

    private (string Status, int Percent) Describe()
    {
        int left = Left();
        _connections = Math.Max(_connections, left);
        string status = $"{Messages.Connections(left)} left of {string.Join(", ", _draining.Select(server => server.Name))}";
        return (status, _connections == 0 ? 0 : 100 * (_connections - left) / _connections);
    }

    private void WriteEnded(Server server, bool ended)
    {
        if (ended && PassThru)
        {
            WriteObject(server);
        }
    }
}
