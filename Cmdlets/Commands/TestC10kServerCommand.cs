using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Test-C10kServer: connects to servers, and tells whether they take the connection.</summary>
[Cmdlet(VerbsDiagnostic.Test, "C10kServer", DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(bool))]
public sealed class TestC10kServerCommand : ServerInputCmdlet
{
    /// <summary>How long a server may take.</summary>
    [Parameter]
    public Duration Timeout { get; set; } = new(TimeSpan.FromSeconds(5));

    /// <summary>Writes whether a server takes a connection.</summary>
    /// <param name="server">The target.</param>
    protected override void Take(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        Patience patience = new(this, $"Testing {server.Name}", Timeout, StopToken);
        using Probe probe = new(server, patience, StopToken);
        bool? taken = probe.Run();
        patience.End();
        if (taken is null)
        {
            WriteError(new ErrorRecord(
                new InvalidOperationException(
                    $"{server.Name} could not be tested, as this process can open no socket: {probe.Result}. Stop other servers, or raise the limit " +
                    "(ulimit -n)."),
                "DescriptorLimit", ErrorCategory.LimitsExceeded, server));
            return;
        }

        WriteVerbose($"{server}: {probe.Result}");
        WriteObject(taken);
    }
}
