using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>
/// A cmdlet that acts on connections: by Id, or as objects. A target is mandatory, because a call without one must not act on all.
/// </summary>
public abstract class ConnectionTargetCmdlet : C10kCmdlet
{
    private protected const string ById = "Id";
    private protected const string ByObject = "InputObject";

    // The timeout for a worker that has already failed to answer once. Ten thousand connections of that worker must not take five seconds each.
    private static readonly TimeSpan SecondChance = TimeSpan.FromMilliseconds(100);

    private readonly HashSet<(int Server, int Worker)> _silent = [];

    private delegate bool Ask(Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? found);

    /// <summary>The connections' Ids.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ById)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ConnectionIdCompleter))]
    public long[]? Id { get; set; }

    /// <summary>The connections themselves.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByObject, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    public virtual ConnectionTarget[]? InputObject { get; set; }

    /// <summary>Writes the connection as it is after the action.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>The name of the action, for the question whether the cmdlet should act.</summary>
    protected abstract string Action { get; }

    /// <summary>Acts on each target.</summary>
    protected override void ProcessRecord()
    {
        foreach (ConnectionTarget target in InputObject ?? [])
        {
            ActOn(target);
        }

        foreach (long id in Id ?? [])
        {
            ActOn(id);
        }
    }

    /// <summary>Acts on an object, or writes why it cannot act on it.</summary>
    private protected virtual void ActOn(ConnectionTarget target)
    {
        if (target.Problem is not null)
        {
            WriteProblem(target.Problem, target.Value);
            return;
        }

        Server[] servers = [target.Server!];
        if (IsWhatIf)
        {
            CheckOnly(servers, target.Reference, target.Name);
        }
        else if (ShouldProcess(target.Name, Action))
        {
            Act(servers, target.Reference);
        }
    }

    /// <summary>For -WhatIf: finds the connection, and says what the cmdlet would do to it.</summary>
    private protected void CheckOnly(Server[] servers, Engine.ConnectionRef target, string name)
    {
        switch (Find(servers, target, out Connection? found))
        {
            case true when MayAct(found!.Server, found):
                ShouldProcess(Name(found), Action);
                break;
            case false:
                WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(target.Id), target.Id);
                break;
            case null:
                WriteNotResponding(Messages.LookUnanswered(target.Id), target.Id);
                ShouldProcess(name, Action);
                break;
        }
    }

    /// <summary>
    /// For -WhatIf: whether the action would succeed on a connection that exists. Returns false after it has written the error.
    /// </summary>
    private protected virtual bool MayAct(Server server, Connection connection) => true;

    /// <summary>Does the cmdlet's action, if the server has the connection.</summary>
    /// <param name="server">The server.</param>
    /// <param name="target">The connection.</param>
    /// <param name="timeout">How long to wait for its worker.</param>
    /// <param name="after">The connection just after the action. Null if the action was not done; then the error is written.</param>
    /// <returns>False if the server does not have the connection.</returns>
    private protected abstract bool TryAct(
        Server server, Engine.ConnectionRef target, TimeSpan timeout, out Engine.ConnectionInfo? after);

    private static string Name(Connection connection) => $"{connection} of {connection.ServerName}";

    /// <summary>Acts on the connection with that Id. Any server may have it, because an Id is unique in the process.</summary>
    private void ActOn(long id)
    {
        Server[] servers = ServerRegistry.List();
        Engine.ConnectionRef target = new(id);
        if (IsWhatIf)
        {
            CheckOnly(servers, target, $"#{id}");
            return;
        }

        // The connection is looked up first, so that the confirmation can name it in full. A worker that does not answer is asked to act all the
        // same, because it will act later.
        bool? there = Find(servers, target, out Connection? found);
        if (there == false)
        {
            WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(id), id);
        }
        else if (found is null ? ShouldProcess($"#{id}", Action) : ShouldProcess(Name(found), Action))
        {
            Act(found is null ? servers : [found.Server], found?.ToReference() ?? target);
        }
    }

    private void Act(Server[] servers, Engine.ConnectionRef target)
    {
        bool answered = Try(servers, target, TryAct, out Server? owner, out Engine.ConnectionInfo? after, server =>
            WriteNotResponding(Messages.ActUnanswered(server, target.Id, Action), target.Id));
        if (owner is not null)
        {
            if (PassThru && after is not null)
            {
                WriteObject(new Connection(owner, after));
            }
        }
        else if (answered)
        {
            WriteNotFound("ConnectionNotFound", Messages.ConnectionGone(target.Id), target.Id);
        }
    }

    /// <summary>
    /// Looks for the connection. True if a server has it, false if no server has it, null if a worker that may have it did not answer.
    /// </summary>
    private bool? Find(Server[] servers, Engine.ConnectionRef target, out Connection? found)
    {
        bool answered = Try(servers, target, Look, out Server? owner, out Engine.ConnectionInfo? info, static _ => { });
        found = owner is null ? null : new Connection(owner, info!);
        return found is not null ? true : answered ? false : null;

        bool Look(Server server, Engine.ConnectionRef what, TimeSpan timeout, out Engine.ConnectionInfo? seen) =>
            server.TryAct(what, Engine.ConnectionAction.Look, timeout, StopToken, out seen);
    }

    /// <summary>Asks one server after the other until one of them has the connection. Returns false if one of them did not answer.</summary>
    private bool Try(
        Server[] servers, Engine.ConnectionRef target, Ask ask, out Server? owner, out Engine.ConnectionInfo? found, Action<Server> onSilence)
    {
        bool answered = true;
        foreach (Server server in servers)
        {
            bool silent = _silent.Contains((server.Id, target.Worker));
            try
            {
                if (ask(server, target, silent ? SecondChance : Server.AnswerTimeout, out found))
                {
                    owner = server;
                    return answered;
                }
            }
            catch (TimeoutException)
            {
                answered = false;
                _silent.Add((server.Id, target.Worker));
                onSilence(server);
            }
            catch (OperationCanceledException)
            {
                throw new PipelineStoppedException();
            }
        }

        owner = null;
        found = null;
        return answered;
    }
}
