using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>A cmdlet that acts on connections: by Id, or as objects. A target has to be given; none never means all.</summary>
public abstract class ConnectionTargetCmdlet : C10kCmdlet
{
    private protected const string ById = "Id";
    private protected const string ByObject = "InputObject";

    // What a worker gets that has let one row wait already: ten thousand rows of it must not take five seconds each.
    private static readonly TimeSpan SecondChance = TimeSpan.FromMilliseconds(100);

    private readonly HashSet<(int Server, int Worker)> _silent = [];

    /// <summary>The connections' Ids.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ById, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ConnectionIdCompleter))]
    public long[]? Id { get; set; }

    /// <summary>The connections themselves.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByObject, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [OwnKind(typeof(Connection))]
    public virtual Connection[]? InputObject { get; set; }

    /// <summary>Writes the connection as it is then.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>What the cmdlet does, for the question whether it should.</summary>
    protected abstract string Action { get; }

    /// <summary>Acts on each target.</summary>
    protected override void ProcessRecord()
    {
        foreach (Connection connection in InputObject ?? [])
        {
            if (ShouldProcess($"{connection} of {connection.ServerName}", Action))
            {
                Act([connection.Server], connection.ToReference());
            }
        }

        foreach (long id in Id ?? [])
        {
            if (ShouldProcess($"#{id}", Action))
            {
                // An Id is unique in the process: any server may have it.
                Act(ServerRegistry.List(), new Engine.ConnectionRef(id));
            }
        }
    }

    /// <summary>Does what the cmdlet is for, if the server has the connection.</summary>
    /// <param name="server">The server.</param>
    /// <param name="target">The connection.</param>
    /// <param name="timeout">How long to wait for its worker.</param>
    /// <param name="after">The connection just after; none where it was not done, and the error is written.</param>
    /// <returns>False when the server does not have it.</returns>
    private protected abstract bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after);

    private void Act(Server[] servers, Engine.ConnectionRef target)
    {
        bool answered = true;
        foreach (Server server in servers)
        {
            bool silent = _silent.Contains((server.Id, target.Worker));
            try
            {
                if (TryAct(server, target, silent ? SecondChance : Server.AnswerTimeout, out Engine.ConnectionInfo? after))
                {
                    if (PassThru && after is not null)
                    {
                        WriteObject(new Connection(server, after));
                    }

                    return;
                }
            }
            catch (TimeoutException)
            {
                answered = false;
                _silent.Add((server.Id, target.Worker));
                WriteNotResponding(Messages.ActUnanswered(server, target.Id, Action), target.Id);
            }
            catch (OperationCanceledException)
            {
                throw new PipelineStoppedException();
            }
        }

        if (answered)
        {
            WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(target.Id), target.Id);
        }
    }
}
