using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>A cmdlet that acts on servers, and writes nothing unless -PassThru is given.</summary>
public abstract class ServerTargetCmdlet : ServerInputCmdlet
{
    /// <summary>Writes the server when the cmdlet is done with it.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>Acts on a target, and writes it if that is asked for.</summary>
    /// <param name="server">The target.</param>
    protected override void Take(Server server)
    {
        if (Act(server) && PassThru)
        {
            WriteObject(server);
        }
    }

    /// <summary>Does the cmdlet's action.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the action was not done, for instance because of -WhatIf.</returns>
    protected abstract bool Act(Server server);
}
