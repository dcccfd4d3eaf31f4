using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Move-C10kConnection: gives connections to another worker of their server.</summary>
[Cmdlet(VerbsCommon.Move, "C10kConnection", SupportsShouldProcess = true, DefaultParameterSetName = ById, HelpUri = OnlineHelp)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class MoveC10kConnectionCommand : ConnectionTargetCmdlet
{
    /// <summary>The number of the worker that gets the connections.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ArgumentCompleter(typeof(WorkerIdCompleter))]
    public int Worker { get; set; }

    /// <inheritdoc/>
    protected override string Action => $"Move connection to worker {Worker}";

    private protected override bool MayAct(Server server, Connection connection)
    {
        ArgumentNullException.ThrowIfNull(server);
        bool there = Worker >= 0 && Worker < server.GetWorkerInfos().Count;
        if (!there)
        {
            WriteNotFound("WorkerNotFound", Messages.WorkerUnknown(server, Worker), Worker);
        }

        return there;
    }

    private protected override bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after)
    {
        try
        {
            if (!server.TryAct(target, Engine.ConnectionAction.Move, timeout, StopToken, out after, Worker))
            {
                return false;
            }

            if (after!.Worker == Worker)
            {
                return true;
            }
        }
        catch (ArgumentOutOfRangeException)
        {
            // The server does not have such a worker. For a connection given by Id, that is an error only if this server has the connection.
            if (!server.TryAct(target, Engine.ConnectionAction.Look, timeout, StopToken, out after))
            {
                return false;
            }
        }

        // The connection stayed, because the worker does not exist or was just leaving.
        after = null;
        WriteNotFound("WorkerNotFound", Messages.WorkerUnknown(server, Worker), Worker);
        return true;
    }
}
