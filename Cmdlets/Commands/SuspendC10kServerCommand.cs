using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Suspend-C10kServer: makes servers stop accepting. New connections wait in the kernel's queue, and open connections go on.</summary>
[Cmdlet(VerbsLifecycle.Suspend, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class SuspendC10kServerCommand : ServerTargetCmdlet
{
    /// <summary>Suspends a server. A server that is already suspended stays so.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the server was not suspended.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return MayChange(server, "suspended", ServerState.Running, ServerState.Suspended)
            && ShouldProcess(server.ToString(), "Suspend accepting")
            && TryChange(server, server.Suspend, "suspended");
    }
}
