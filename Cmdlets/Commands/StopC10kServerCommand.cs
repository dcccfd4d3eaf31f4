using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Stop-C10kServer: stops servers and closes their connections, at once or after the connections have finished.</summary>
[Cmdlet(VerbsLifecycle.Stop, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class StopC10kServerCommand : ServerEndCmdlet
{
    /// <summary>Resets connections instead of finishing them. With -Drain, resets the connections that are left at the timeout.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <inheritdoc/>
    protected override bool MayEnd(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        string action = Drain ? $"Drain for up to {Messages.Seconds(Timeout)}, then stop" : Force ? "Stop and reset connections" : "Stop";
        return ShouldProcess($"{server}, {Messages.Connections(server.ConnectionCount)}", action);
    }

    /// <summary>Stops a server. A server that is already stopped stays so.</summary>
    /// <param name="server">The target.</param>
    /// <returns>True.</returns>
    protected override bool End(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        server.Stop(Force);
        return true;
    }

    /// <inheritdoc/>
    protected override bool EndUndrained(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        if (Force)
        {
            return End(server);
        }

        WriteError(new ErrorRecord(
            new TimeoutException(
                $"{server.Name} has {Messages.Connections(server.ConnectionCount)} left after {Messages.Seconds(Timeout)}. It goes on " +
                $"draining, and stops by itself when the last one has ended. Stop-C10kServer '{server.Name}' -Drain waits again, and without " +
                "-Drain it ends them; -Force with -Drain would have reset them now."),
            "DrainTimeout", ErrorCategory.OperationTimeout, server));
        return false;
    }
}
