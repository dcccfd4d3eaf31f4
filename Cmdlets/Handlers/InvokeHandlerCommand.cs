using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// The one command of a handler thread's pipeline, in its own runspace alone: calls the handler with one message after the other. A pipeline
/// per message would cost a hundred times as much, and from within one a call can be stopped.
/// </summary>
[Cmdlet(VerbsLifecycle.Invoke, "C10kHandler")]
internal sealed class InvokeHandlerCommand : PSCmdlet
{
    [Parameter(Mandatory = true)]
    public HandlerThread? Thread { get; set; }

    protected override void EndProcessing() => Thread!.Serve();

    protected override void StopProcessing() => Thread!.OnPipelineStopped();
}
