using System.Management.Automation;
using System.Management.Automation.Runspaces;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>The base of the module's cmdlets: how every wait ends, the check of the platform, and the errors.</summary>
public abstract class C10kCmdlet : PSCmdlet, IDisposable
{
    /// <summary>The page that Get-Help -Online opens.</summary>
    protected const string OnlineHelp = "https://www.powershellgallery.com/packages/C10kServer";

    private readonly CancellationTokenSource _stopping = new();

    /// <summary>The token that Ctrl+C cancels. Every wait uses it.</summary>
    protected CancellationToken StopToken => _stopping.Token;

    /// <summary>Releases the resources of the cmdlet. The shell calls it.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases the resources of the cmdlet.</summary>
    /// <param name="disposing">Whether the shell calls it.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _stopping.Dispose();
        }
    }

    /// <summary>Ends the cmdlet with an error on a platform without epoll, before anything uses the engine.</summary>
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

    /// <summary>Handles Ctrl+C. The shell calls it on another thread, at any moment.</summary>
    protected override void StopProcessing()
    {
        try
        {
            _stopping.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The cmdlet has just ended.
        }
    }

    /// <summary>Whether a parameter was given. For the other parameters the engine's defaults apply.</summary>
    /// <param name="parameter">The parameter's name.</param>
    /// <returns>True if it was given.</returns>
    protected bool IsGiven(string parameter) => MyInvocation.BoundParameters.ContainsKey(parameter);

    /// <summary>
    /// Whether the cmdlet only says what it would do. It then first makes the checks that the action itself would make: that the target
    /// exists and that the values are valid.
    /// </summary>
    private protected bool IsWhatIf =>
        MyInvocation.BoundParameters.TryGetValue("WhatIf", out object? given)
            ? (SwitchParameter)given
            : LanguagePrimitives.IsTrue(SessionState.PSVariable.GetValue("WhatIfPreference"));

    /// <summary>The Id of the runspace in which the cmdlet runs.</summary>
    private protected static Guid CurrentRunspace => Runspace.DefaultRunspace?.InstanceId ?? Guid.Empty;

    /// <summary>The servers with that name. A pattern may match no server. A literal name that matches no server is an error.</summary>
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

    /// <summary>The server with that Id. If there is none, an error is written.</summary>
    private protected Server[] FindServers(long id)
    {
        if (ServerRegistry.Find(id) is Server server)
        {
            return [server];
        }

        WriteNotFound("ServerNotFound", Messages.ServerIdUnknown(id), id);
        return [];
    }

    /// <summary>The servers of one record, each server once. They are given by names, by Ids, or as targets.</summary>
    private protected IEnumerable<Server> FindServers(string[]? names, int[]? ids, ServerTarget[]? targets) =>
        (names is not null ? names.SelectMany(FindServers)
            : ids is not null ? ids.SelectMany(id => FindServers(id))
            : targets?.SelectMany(FindServers) ?? []).Distinct();

    /// <summary>The servers that a target means. For an object that is not a server, an error is written.</summary>
    private protected Server[] FindServers(ServerTarget target)
    {
        if (target.Problem is not null)
        {
            WriteProblem(target.Problem, target.Value);
            return [];
        }

        return target.Server is not null ? [target.Server] : FindServers(target.Name!);
    }

    /// <summary>The targets that the -Server arguments mean, each target once. Without arguments, all servers.</summary>
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

    /// <summary>
    /// Makes a change that is possible only in some states. Returns false if the server was not changed; then the error is written.
    /// </summary>
    /// <param name="server">The server.</param>
    /// <param name="change">The change to make.</param>
    /// <param name="done">The word for what the change does to the server, for the error.</param>
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

    /// <summary>With -WhatIf, whether a server is in a state in which it can be changed. Returns false after it has written the error.</summary>
    /// <remarks>Without -WhatIf the change itself finds out, and waits for a restart that is under way.</remarks>
    /// <param name="server">The server.</param>
    /// <param name="done">The word for what the change would do to the server, for the error.</param>
    /// <param name="states">The states in which the change is possible.</param>
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

    /// <summary>Writes the error that the cmdlet cannot act on an object that it was given.</summary>
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
