using System.Management.Automation;
using System.Management.Automation.Runspaces;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>What the module's cmdlets have in common: the way out of every wait, the platform, and the errors.</summary>
public abstract class C10kCmdlet : PSCmdlet, IDisposable
{
    /// <summary>What Get-Help -Online opens.</summary>
    protected const string OnlineHelp = "https://www.powershellgallery.com/packages/C10kServer";

    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Cancelled by Ctrl+C. Whatever waits takes it.</summary>
    protected CancellationToken StopToken => _stopping.Token;

    /// <summary>Ends what the cmdlet holds. The shell calls it.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends what the cmdlet holds.</summary>
    /// <param name="disposing">Whether it is the shell that calls.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _stopping.Dispose();
        }
    }

    /// <summary>Stops here where there is no epoll, before anything touches the engine.</summary>
    protected override void BeginProcessing()
    {
        if (!OperatingSystem.IsLinux())
        {
            ThrowTerminatingError(new ErrorRecord(
                new PlatformNotSupportedException(
                    $"{MyInvocation.MyCommand.Name} needs Linux: the servers are built on epoll. " +
                    "Elsewhere, run it in a container or in WSL."),
                "PlatformNotSupported", ErrorCategory.NotImplemented, null));
        }
    }

    /// <summary>Ctrl+C: called on another thread, at any moment.</summary>
    protected override void StopProcessing()
    {
        try
        {
            _stopping.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The cmdlet was just done.
        }
    }

    /// <summary>Whether a parameter was given, so that the engine's default holds for the others.</summary>
    /// <param name="parameter">The parameter's name.</param>
    /// <returns>True when it was given.</returns>
    protected bool IsGiven(string parameter) => MyInvocation.BoundParameters.ContainsKey(parameter);

    /// <summary>
    /// Whether the cmdlet says what it would do and does nothing. It then checks first what the act itself would find: that the target is there and
    /// that the values are valid.
    /// </summary>
    private protected bool IsWhatIf =>
        MyInvocation.BoundParameters.TryGetValue("WhatIf", out object? given)
            ? (SwitchParameter)given
            : LanguagePrimitives.IsTrue(SessionState.PSVariable.GetValue("WhatIfPreference"));

    /// <summary>The runspace in which the cmdlet runs.</summary>
    private protected static Guid CurrentRunspace => Runspace.DefaultRunspace?.InstanceId ?? Guid.Empty;

    /// <summary>The servers of that name. A pattern may match nothing; a literal that does is an error.</summary>
    private protected Server[] FindServers(string name)
    {
        Server[] found;
        try
        {
            found = ServerRegistry.Find(name);
        }
        catch (WildcardPatternException e)
        {
            WriteError(new ErrorRecord(
                new ArgumentException($"'{DisplayText.Text(name)}' is no pattern that can be read: a [ without its ], say. Names have no such characters in them.", e),
                "InvalidPattern", ErrorCategory.InvalidArgument, name));
            return [];
        }

        if (found.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(name))
        {
            WriteNotFound("ServerNotFound", Messages.ServerNameUnknown(name), name);
        }

        return found;
    }

    /// <summary>The server of that number; none is an error.</summary>
    private protected Server[] FindServers(long id)
    {
        if (ServerRegistry.Find(id) is Server server)
        {
            return [server];
        }

        WriteNotFound("ServerNotFound", Messages.ServerIdUnknown(id), id);
        return [];
    }

    /// <summary>The servers of one record, each once: by names, by Ids, or as they are.</summary>
    private protected IEnumerable<Server> FindServers(string[]? names, int[]? ids, ServerTarget[]? targets) =>
        (names is not null ? names.SelectMany(FindServers)
            : ids is not null ? ids.SelectMany(id => FindServers(id))
            : targets?.SelectMany(FindServers) ?? []).Distinct();

    /// <summary>The servers that a target means. An object that is not a server is an error.</summary>
    private protected Server[] FindServers(ServerTarget target)
    {
        if (target.Problem is not null)
        {
            WriteProblem(target.Problem, target.Value);
            return [];
        }

        return target.Server is not null ? [target.Server] : FindServers(target.Name!);
    }

    /// <summary>What the -Server arguments mean, each once; without any, all servers.</summary>
    private protected IEnumerable<Target> FindTargets(ServerSelector[]? selectors)
    {
        if (selectors is null)
        {
            return ServerRegistry.List().Select(server => new Target(server));
        }

        return selectors
            .SelectMany(selector => Find(selector).Select(server => new Target(server, selector.Worker, selector.Connection)))
            .Distinct();

        Server[] Find(ServerSelector selector) =>
            selector.Server is not null ? [selector.Server]
            : selector.Name is not null ? FindServers(selector.Name)
            : FindServers(selector.Id);
    }

    /// <summary>Does what a server can do only in some of its states. False: the server was not changed, and the error is written.</summary>
    /// <param name="server">The server.</param>
    /// <param name="change">What to do.</param>
    /// <param name="done">What the server is then.</param>
    private protected bool TryChange(Server server, Action change, string done)
    {
        try
        {
            change();
            return true;
        }
        catch (InvalidOperationException e)
        {
            WriteInvalidState(server, done, e);
            return false;
        }
    }

    /// <summary>With -WhatIf, whether a server is in a state in which it can be changed. False: the error is written.</summary>
    /// <remarks>Without -WhatIf the change itself finds out, and waits for a restart that is under way.</remarks>
    /// <param name="server">The server.</param>
    /// <param name="done">What the server would be.</param>
    /// <param name="states">The states in which it can be.</param>
    private protected bool MayChange(Server server, string done, params ServerState[] states)
    {
        bool can = !IsWhatIf || states.Contains(server.State);
        if (!can)
        {
            WriteInvalidState(server, done, null);
        }

        return can;
    }

    private void WriteInvalidState(Server server, string done, Exception? cause)
    {
        string advice = server.State == ServerState.Draining
            ? "It ends when its connections have; Restart-C10kServer starts it again at once."
            : "Restart-C10kServer takes the server object, and starts it again.";
        WriteError(new ErrorRecord(
            new InvalidOperationException($"{server.Name} is {server.State}, and cannot be {done}. {advice}", cause),
            "InvalidServerState", ErrorCategory.InvalidOperation, server));
    }

    /// <summary>Writes that the cmdlet cannot act on an object that it was given.</summary>
    private protected void WriteProblem(TargetProblem problem, object? target)
    {
        ArgumentException exception = new(problem.Message);
        WriteError(problem.IsCopy
            ? new ErrorRecord(exception, "CopiedTarget", ErrorCategory.InvalidArgument, target)
            : new ErrorRecord(exception, "InvalidTarget", ErrorCategory.InvalidArgument, target));
    }

    private protected void WriteNotFound(string errorId, string message, object target) =>
        WriteError(new ErrorRecord(new ItemNotFoundException(message), errorId, ErrorCategory.ObjectNotFound, target));

    private protected void WriteNotResponding(string message, object target) =>
        WriteError(new ErrorRecord(new TimeoutException(message), "WorkerNotResponding", ErrorCategory.OperationTimeout, target));
}
