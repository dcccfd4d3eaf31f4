using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Close-C10kConnection: closes connections, or resets them.</summary>
[Cmdlet(VerbsCommon.Close, "C10kConnection", SupportsShouldProcess = true, DefaultParameterSetName = ById, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class CloseC10kConnectionCommand : ConnectionTargetCmdlet
{
    /// <summary>Resets the connections: queued output is lost, and the peer sees an error.</summary>
    [Parameter]
    public SwitchParameter Reset { get; set; }

    /// <inheritdoc/>
    protected override string Action => Reset ? "Reset connection" : "Close connection";

    private protected override bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after)
    {
        Engine.ConnectionAction action = Reset ? Engine.ConnectionAction.Reset : Engine.ConnectionAction.Close;
        return server.TryAct(target, action, timeout, StopToken, out after);
    }
}
