using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Suspend-C10kConnection: stops reading from connections.</summary>
[Cmdlet(VerbsLifecycle.Suspend, "C10kConnection", SupportsShouldProcess = true, DefaultParameterSetName = ById, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class SuspendC10kConnectionCommand : ConnectionTargetCmdlet
{
    /// <inheritdoc/>
    protected override string Action => "Suspend reading from connection";

    private protected override bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after) =>
        server.TryAct(target, Engine.ConnectionAction.PauseReading, timeout, StopToken, out after);
}
