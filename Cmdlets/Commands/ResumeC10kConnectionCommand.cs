using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Resume-C10kConnection: reads from connections again.</summary>
[Cmdlet(VerbsLifecycle.Resume, "C10kConnection", SupportsShouldProcess = true, DefaultParameterSetName = ById, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class ResumeC10kConnectionCommand : ConnectionTargetCmdlet
{
    /// <inheritdoc/>
    protected override string Action => "Resume reading from connection";

    private protected override bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after) =>
        server.TryAct(target, Engine.ConnectionAction.ResumeReading, timeout, StopToken, out after);
}
