using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Suspend-C10kServer: servers stop accepting. Connects wait in the kernel's queue, open connections go on.</summary>
[Cmdlet(VerbsLifecycle.Suspend, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class SuspendC10kServerCommand : ServerTargetCmdlet
{
    /// <summary>Suspends a server. One that is suspended already stays so.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False when it was not done.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return MayChange(server, "suspended", ServerState.Running, ServerState.Suspended)
            && ShouldProcess(server.ToString(), "Suspend accepting")
            && TryChange(server, server.Suspend, "suspended");
    }
}
