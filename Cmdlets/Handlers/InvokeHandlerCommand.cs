using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// The only command in a handler thread's pipeline, and it exists in that runspace alone. It calls the handler with one message after the
/// other. A pipeline for each message would cost a hundred times as much. A call from within a pipeline can be stopped.
/// </summary>
[Cmdlet(VerbsLifecycle.Invoke, "C10kHandler")]
internal sealed class InvokeHandlerCommand : PSCmdlet
{
    [Parameter(Mandatory = true)]
    public HandlerThread? Thread { get; set; }

    protected override void EndProcessing() => Thread!.Serve();

    protected override void StopProcessing() => Thread!.OnPipelineStopped();
}
