using System.Diagnostics;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Watch-C10kConnection: writes connections as they open and close.</summary>
[Cmdlet(VerbsCommon.Watch, "C10kConnection", HelpUri = OnlineHelp)]
[OutputType(typeof(Connection))]
public sealed class WatchC10kConnectionCommand : C10kCmdlet
{
    // By this name the views give them a table of their own, with time and reason.
    private const string WatchedTypeName = "C10kServer.Connection#Watched";

    // How late the end of the last server may be noticed.
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

    /// <summary>The rows after which it ends.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int Count { get; set; }

    /// <summary>The time after which it ends.</summary>
    [Parameter]
    public Duration Timeout { get; set; }

    // Without servers those count too that are started meanwhile; one that none has matched is no server to wait for.
    private bool WatchesAll => !IsGiven(nameof(Server)) && !MyInvocation.ExpectingInput;

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        _observer = new Engine.Observer();
        _watch = Stopwatch.StartNew();
        if (WatchesAll)
        {
            // First the later ones, then those that there are: a server between the two is met twice and taken once.
            ServerRegistry.Added += Watch;
        }
    }

    /// <summary>Begins to watch at once: what happens while the pipeline still brings servers is not missed.</summary>
    protected override void ProcessRecord()
    {
        foreach (Target target in FindTargets(Server))
        {
            _targets.Add(target);
            Watch(target.Server);
        }
    }

    /// <summary>Writes what happens.</summary>
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
            // Also where the pipeline was stopped: Ctrl+C, Select-Object -First 1.
            ServerRegistry.Added -= Watch;
            lock (_gate)
            {
                // In this order: a server that restarts meanwhile would else give its new engine an observer that is over.
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

    /// <summary>From any thread: servers are started on others.</summary>
    private void Watch(Server server)
    {
        lock (_gate)
        {
            // Not once the cmdlet is done.
            if (_observer is not null && _servers.Add(server))
            {
                server.Events.Watch(_observer);
            }
        }
    }

    /// <summary>False: the time is over, or nothing more can come.</summary>
    private bool TryTake(out Engine.ServerEvent? happened)
    {
        happened = null;
        while (true)
        {
            // Before the look at the queue: what a server did at its end is in there by then.
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

    // Now and then, as they are lost one after the other.
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
