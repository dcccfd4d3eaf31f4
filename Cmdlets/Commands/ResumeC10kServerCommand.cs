using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Resume-C10kServer: makes servers accept again, beginning with the connections that wait in the kernel's queue.</summary>
[Cmdlet(VerbsLifecycle.Resume, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class ResumeC10kServerCommand : ServerTargetCmdlet
{
    /// <summary>Resumes a server. A server that already runs goes on.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the server was not resumed.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        return MayChange(server, "resumed", ServerState.Running, ServerState.Suspended)
            && ShouldProcess(server.ToString(), "Resume accepting")
            && TryChange(server, server.Resume, "resumed");
    }
}
