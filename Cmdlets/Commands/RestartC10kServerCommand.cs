using System.Management.Automation;
using C10kServer.Scripting;

namespace C10kServer.Commands;

/// <summary>Restart-C10kServer: ends servers and starts them again at the same addresses, with the same options and handler.</summary>
[Cmdlet(VerbsLifecycle.Restart, "C10kServer", SupportsShouldProcess = true, DefaultParameterSetName = ByObject, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Server))]
public sealed class RestartC10kServerCommand : ServerEndCmdlet
{
    /// <inheritdoc/>
    protected override bool MayEnd(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        if (server.HasInheritedSockets)
        {
            WriteError(new ErrorRecord(
                new NotSupportedException(
                    $"{server.Name} listens on sockets that systemd passed. They are closed at a server's end and cannot be opened again, " +
                    "so it was left as it is. Restart the unit instead: systemctl restart."),
                "RestartUnsupported", ErrorCategory.InvalidOperation, server));
            return false;
        }

        // A real restart finds this out by itself. With -WhatIf nothing is restarted, so it is checked here.
        if (IsWhatIf && !ServerRegistry.Contains(server) && ServerRegistry.IsTaken(server.Name))
        {
            WriteNameInUse(server);
            return false;
        }

        string action = Drain ? $"Drain for up to {Messages.Seconds(Timeout)}, then restart" : "Restart";
        return ShouldProcess($"{server}, {Messages.Connections(server.ConnectionCount)}", action);
    }

    /// <inheritdoc/>
    protected override bool End(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        try
        {
            if (server.Restart(CurrentRunspace))
            {
                return true;
            }

            WriteNameInUse(server);
        }
        catch (Engine.ServerStartException e)
        {
            WriteError(EngineErrors.For(e, server, $"{server.Name} was stopped and could not be started again, so it is {server.State} now: "));
        }
        catch (HandlerScriptException e)
        {
            WriteError(new ErrorRecord(new InvalidOperationException(e.Message, e.InnerException), e.Id, e.Category, server));
        }

        return false;
    }

    /// <summary>
    /// Closes the connections that are left, and restarts the server. A drain cannot be taken back, and a server that neither serves nor ends
    /// would help nobody.
    /// </summary>
    /// <param name="server">The target.</param>
    /// <returns>Whether the server was restarted.</returns>
    protected override bool EndUndrained(Server server)
    {
        ArgumentNullException.ThrowIfNull(server);
        int left = server.ConnectionCount;
        bool restarted = End(server);
        WriteWarning($"{server.Name} had {Messages.Connections(left)} left after {Messages.Seconds(Timeout)}: closed for the restart.");
        return restarted;
    }

    private void WriteNameInUse(Server server) => WriteError(new ErrorRecord(
        new InvalidOperationException(
            $"Another server is called '{server.Name}' since this one was stopped. Stop that one first: Stop-C10kServer '{server.Name}'."),
        "NameInUse", ErrorCategory.ResourceExists, server));
}
