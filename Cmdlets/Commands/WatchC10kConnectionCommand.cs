using System.Diagnostics;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Watch-C10kConnection: writes connections as they open and close.</summary>
[Cmdlet(VerbsCommon.Watch, "C10kConnection", HelpUri = OnlineHelp)]
[OutputType(typeof(Connection))]
public sealed class WatchC10kConnectionCommand : C10kCmdlet
{
    // The views recognise this name and give these rows a table of their own, with time and reason.
    private const string WatchedTypeName = "C10kServer.Connection#Watched";

    // The end of the last server may be noticed this late.
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(200);

    private static readonly TimeSpan WarnInterval = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly HashSet<Server> _servers = [];
    private readonly HashSet<Target> _targets = [];
    private Engine.Observer? _observer;
    private Stopwatch _watch = Stopwatch.StartNew();
    private TimeSpan _nextWarning;
    private long _warnedOf;

    /// <summary>The servers: objects, names with wildcards, or Ids.</summary>
    [Parameter(Position = 0, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerSelector[]? Server { get; set; }

    /// <summary>The number of rows after which the cmdlet ends.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int Count { get; set; }

    /// <summary>The time after which the cmdlet ends.</summary>
    [Parameter]
    public Duration Timeout { get; set; }

    // If no server was asked for, servers that are started later are watched, too. If a server was asked for and none matched, there is
    // nothing to wait for.
    private bool WatchesAll => !IsGiven(nameof(Server)) && !MyInvocation.ExpectingInput;

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        _observer = new Engine.Observer();
        _watch = Stopwatch.StartNew();
        if (WatchesAll)
        {
            // Later servers are subscribed to before the existing ones are listed. A server that starts between the two is found twice and
            // taken once.
            ServerRegistry.Added += Watch;
        }
    }

    /// <summary>Begins to watch each server at once, so that no event is missed while the pipeline still brings servers.</summary>
    protected override void ProcessRecord()
    {
        foreach (Target target in FindTargets(Server))
        {
            _targets.Add(target);
            Watch(target.Server);
        }
    }

    /// <summary>Writes the connections that open and close.</summary>
    protected override void EndProcessing()
    {
        int written = 0;
        while ((Count == 0 || written < Count) && TryTake(out Engine.ServerEvent? happened))
        {
            if (happened?.Connection is { } info)
            {
                Connection connection = new(ServerEvents.OwnerOf(happened.Server), info);
                if (IsWanted(connection))
                {
                    PSObject row = new(connection);
                    row.TypeNames.Insert(0, WatchedTypeName);
                    written++;
                    WriteObject(row);
                }
            }

            WarnOfLost(now: false);
        }

        WarnOfLost(now: true);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _observer is not null)
        {
            // This also runs when the pipeline was stopped by Ctrl+C or Select-Object -First 1.
            ServerRegistry.Added -= Watch;
            lock (_gate)
            {
                // The observer is removed from the servers before it is disposed of. Otherwise a server that restarts now would give it to
                // its new engine.
                foreach (Server server in _servers)
                {
                    server.Events.Unwatch(_observer);
                }

                _observer.Dispose();

                _observer = null;
            }
        }

        base.Dispose(disposing);
    }

    /// <summary>Watches a server. Called from any thread, because servers may be started on other threads.</summary>
    private void Watch(Server server)
    {
        lock (_gate)
        {
            // After the end of the cmdlet no server is watched any more.
            if (_observer is not null && _servers.Add(server))
            {
                server.Events.Watch(_observer);
            }
        }
    }

    /// <summary>Takes the next event. Returns false if the time is over, or if no more events can come.</summary>
    private bool TryTake(out Engine.ServerEvent? happened)
    {
        happened = null;
        while (true)
        {
            // This is read before the queue. Once a server is over, the events of its end are in the queue.
            bool over = IsOver();
            TimeSpan left = IsGiven(nameof(Timeout)) ? Timeout - _watch.Elapsed : TimeSpan.MaxValue;
            TimeSpan wait = over || left < TimeSpan.Zero ? TimeSpan.Zero : left < Look ? left : Look;
            try
            {
                if (_observer!.TryTake(wait, StopToken, out happened))
                {
                    return true;
                }
            }
            catch (OperationCanceledException)
            {
                throw new PipelineStoppedException();
            }

            WarnOfLost(now: false);
            if (over || left <= wait)
            {
                return false;
            }
        }
    }

    private bool IsOver()
    {
        lock (_gate)
        {
            return (_servers.Count > 0 || !WatchesAll) && _servers.All(server => server.IsOver);
        }
    }

    private bool IsWanted(Connection connection) =>
        WatchesAll
        || _targets.Any(target => target.Server == connection.Server
            && (target.Connection is long id ? id == connection.Id : target.Worker is null || target.Worker == connection.Worker));

    // Warns only now and then, because rows are lost one after the other.
    private void WarnOfLost(bool now)
    {
        long lost = _observer!.Lost;
        if (lost > _warnedOf && (now || _watch.Elapsed >= _nextWarning))
        {
            WriteWarning(
                $"{lost - _warnedOf} rows were lost: connections open and close faster than they are written here. A pipeline that does less " +
                "with each row, or fewer servers, gets them all.");
            _warnedOf = lost;
            _nextWarning = _watch.Elapsed + WarnInterval;
        }
    }
}
