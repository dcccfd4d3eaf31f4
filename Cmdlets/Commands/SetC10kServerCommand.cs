using System.Globalization;
using System.Management.Automation;

namespace C10kServer.Commands;

/// <summary>Set-C10kServer: changes the limits, timeouts and workers of servers while they run.</summary>
[Cmdlet(VerbsCommon.Set, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class SetC10kServerCommand : ServerTargetCmdlet
{
    // These parameters are not options, so the cmdlet has nothing to do if only these are given.
    private static readonly string[] Others = [nameof(Name), nameof(Id), nameof(InputObject), nameof(PassThru), "WhatIf", "Confirm"];

    /// <summary>The number of worker threads.</summary>
    [Parameter]
    [Alias("Workers")]
    public int WorkerCount { get; set; }

    /// <summary>The highest number of connections at a time.</summary>
    [Parameter]
    public int MaxConnection { get; set; }

    /// <summary>The highest number of connections of one remote address at a time.</summary>
    [Parameter]
    public int MaxConnectionPerAddress { get; set; }

    /// <summary>The highest number of connections accepted per second.</summary>
    [Parameter]
    public int AcceptRate { get; set; }

    /// <summary>How new connections are dealt to the workers.</summary>
    [Parameter]
    public DispatchMode Dispatch { get; set; }

    /// <summary>How long a connection may be idle.</summary>
    [Parameter]
    public Duration IdleTimeout { get; set; }

    /// <summary>How long a connection's first message may take.</summary>
    [Parameter]
    public Duration HandshakeTimeout { get; set; }

    /// <summary>How long this side waits for the peer's end after it has closed.</summary>
    [Parameter]
    public Duration LingerTimeout { get; set; }

    /// <summary>How long a peer may go without taking output.</summary>
    [Parameter]
    public Duration WriteTimeout { get; set; }

    /// <summary>The bytes of queued output above which the server does not read from a connection.</summary>
    [Parameter]
    public int HighWaterMark { get; set; }

    /// <summary>The highest number of bytes that may wait to be sent on a connection.</summary>
    [Parameter]
    public int MaxSendQueue { get; set; }

    /// <summary>The microseconds for which a worker polls for more events before it blocks.</summary>
    [Parameter]
    [ValidateRange(0, 1_000_000)]
    public int BusyPoll { get; set; }

    /// <summary>The log level. Less important records are not logged.</summary>
    [Parameter]
    public LogLevel LogLevel { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        if (!Given().Any())
        {
            ThrowTerminatingError(new ErrorRecord(
                new ArgumentException(
                    "Nothing to set was given. Say what is to change: -WorkerCount, -MaxConnection, -IdleTimeout and others. " +
                    "Get-Help Set-C10kServer has them all."),
                "InvalidArgument", ErrorCategory.InvalidArgument, null));
        }
    }

    /// <summary>Changes the options that were given: all of them or none.</summary>
    /// <param name="server">The target.</param>
    /// <returns>False if the options were not changed.</returns>
    protected override bool Act(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        try
        {
            if (IsWhatIf)
            {
                server.Check(now => LiveOptions.Apply(now, MyInvocation.BoundParameters));
            }

            if (!MayChange(server, "changed", ServerState.Running, ServerState.Suspended, ServerState.Draining)
                || !ShouldProcess(server.ToString(), $"Set {string.Join(", ", Given().Select(Show))}"))
            {
                return false;
            }

            return TryChange(server, () => Reconfigure(server), "changed");
        }
        catch (Engine.ServerStartException e)
        {
            WriteError(EngineErrors.For(e, server));
        }
        catch (ArgumentException e)
        {
            WriteError(EngineErrors.For(e, server, MyInvocation.BoundParameters));
        }

        return false;
    }

    private void Reconfigure(Server server)
    {
        bool changed = server.Reconfigure(now => LiveOptions.Apply(now, MyInvocation.BoundParameters));
        if (IsGiven(nameof(LogLevel)))
        {
            server.SetLogLevel(LogLevel);
        }

        if (!changed)
        {
            WriteWarning(
                $"A worker of {server.Name} that is to leave is held up by a handler, and leaves as soon as that returns. Until then its " +
                $"connections stay with it: see Stalls of Get-C10kWorker '{server.Name}'.");
        }
    }

    private IEnumerable<string> Given() =>
        MyInvocation.BoundParameters.Keys.Where(name => !Others.Contains(name) && !CommonParameters.Contains(name));

    private string Show(string parameter) =>
        string.Create(CultureInfo.InvariantCulture, $"{parameter} {MyInvocation.BoundParameters[parameter]}");
}
