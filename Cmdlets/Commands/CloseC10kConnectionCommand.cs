using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Close-C10kConnection: closes connections, or resets them.</summary>
[Cmdlet(VerbsCommon.Close, "C10kConnection", SupportsShouldProcess = true, DefaultParameterSetName = ByObject)]
[OutputType(typeof(void), typeof(Connection))]
public sealed class CloseC10kConnectionCommand : C10kCmdlet
{
    private const string ById = "Id";
    private const string ByObject = "InputObject";

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
    public Connection[]? InputObject { get; set; }

    /// <summary>Resets: what is queued is lost, and the peer sees an error.</summary>
    [Parameter]
    public SwitchParameter Reset { get; set; }

    /// <summary>Writes the connection as it is then.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    private string Action => Reset ? "Reset connection" : "Close connection";

    /// <summary>Closes each target.</summary>
    protected override void ProcessRecord()
    {
        if (InputObject is not null)
        {
            foreach (Connection connection in InputObject)
            {
                if (ShouldProcess($"{connection} of {connection.ServerName}", Action))
                {
                    Close([connection.Server], connection.ToReference());
                }
            }
        }
        else
        {
            foreach (long id in Id!)
            {
                if (ShouldProcess($"#{id}", Action))
                {
                    // An Id is unique in the process: any server may have it.
                    Close(ServerRegistry.List(), new Engine.ConnectionRef(id, -1, -1));
                }
            }
        }
    }

    private void Close(Server[] servers, Engine.ConnectionRef target)
    {
        bool answered = true;
        Engine.ConnectionAction action = Reset ? Engine.ConnectionAction.Reset : Engine.ConnectionAction.Close;
        foreach (Server server in servers)
        {
            bool silent = _silent.Contains((server.Id, target.Worker));
            try
            {
                TimeSpan timeout = silent ? SecondChance : Server.AnswerTimeout;
                if (server.TryAct(target, action, timeout, StopToken, out Engine.ConnectionInfo? after))
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
                WriteNotResponding(Messages.CloseUnanswered(server, target.Id), target.Id);
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
