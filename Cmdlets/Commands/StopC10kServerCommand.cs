using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Stop-C10kServer: stops servers and closes their connections.</summary>
[Cmdlet(VerbsLifecycle.Stop, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByName)]
[OutputType(typeof(void), typeof(Server))]
public sealed class StopC10kServerCommand : ServerTargetCmdlet
{
    /// <summary>Connections are reset instead of finished.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>Stops a server. One that is stopped already stays so.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False when it was not done.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        if (!ShouldProcess($"{server}, {server.ConnectionCount} connections", Force ? "Stop and reset connections" : "Stop"))
        {
            return false;
        }

        server.Stop(Force);
        return true;
    }
}
