using System.Diagnostics;
using System.Management.Automation;
using C10kServer.Parameters;

namespace C10kServer.Commands;

/// <summary>Measure-C10kServer: writes the activity of servers per second, interval by interval.</summary>
[Cmdlet(VerbsDiagnostic.Measure, "C10kServer", DefaultParameterSetName = ObjectAndCount, HelpUri = OnlineHelp)]
[OutputType(typeof(Sample))]
public sealed class MeasureC10kServerCommand : C10kCmdlet
{
    private const string NameAndCount = "NameAndCount";
    private const string NameContinuous = "NameContinuous";
    private const string IdAndCount = "IdAndCount";
    private const string IdContinuous = "IdContinuous";
    private const string ObjectAndCount = "ObjectAndCount";
    private const string ObjectContinuous = "ObjectContinuous";

    // Over a shorter interval, a single message would count as thousands per second.
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(10);

    private readonly List<Server> _servers = [];

    /// <summary>The servers' names, with wildcards.</summary>
    [Parameter(Mandatory = true, ParameterSetName = NameAndCount)]
    [Parameter(Mandatory = true, ParameterSetName = NameContinuous)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public string[]? Name { get; set; }

    /// <summary>The servers' Ids.</summary>
    [Parameter(Mandatory = true, ParameterSetName = IdAndCount)]
    [Parameter(Mandatory = true, ParameterSetName = IdContinuous)]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ServerIdCompleter))]
    public int[]? Id { get; set; }

    /// <summary>The servers themselves.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ObjectAndCount, ValueFromPipeline = true)]
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ObjectContinuous, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerTarget[]? InputObject { get; set; }

    /// <summary>The length of an interval.</summary>
    [Parameter]
    public Duration Interval { get; set; } = new(TimeSpan.FromSeconds(1));

    /// <summary>The number of intervals.</summary>
    [Parameter(ParameterSetName = NameAndCount)]
    [Parameter(ParameterSetName = IdAndCount)]
    [Parameter(ParameterSetName = ObjectAndCount)]
    [ValidateRange(1, int.MaxValue)]
    public int Count { get; set; } = 1;

    /// <summary>Measures one interval after the other, until the cmdlet is stopped.</summary>
    [Parameter(Mandatory = true, ParameterSetName = NameContinuous)]
    [Parameter(Mandatory = true, ParameterSetName = IdContinuous)]
    [Parameter(Mandatory = true, ParameterSetName = ObjectContinuous)]
    public SwitchParameter Continuous { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        base.BeginProcessing();
        if (Interval < ShortestInterval)
        {
            ThrowTerminatingError(new ErrorRecord(
                new ArgumentException($"-Interval is {Interval}, and has to be 10ms at least."),
                "InvalidArgument", ErrorCategory.InvalidArgument, Interval));
        }
    }

    /// <summary>Collects the servers, because they are measured together.</summary>
    protected override void ProcessRecord()
    {
        foreach (Server server in FindServers(Name, Id, InputObject))
        {
            if (!_servers.Contains(server))
            {
                _servers.Add(server);
            }
        }
    }

    /// <summary>Measures the intervals and writes the samples.</summary>
    protected override void EndProcessing()
    {
        long begun = Stopwatch.GetTimestamp();
        List<(Server Server, CounterReading Reading)> before = [.. _servers.Select(server => (server, CounterReading.Of(server)))];
        for (long tick = 1; before.Count > 0 && (Continuous || tick <= Count); tick++)
        {
            WaitUntil(begun, Interval.TimeSpan.Ticks * tick);

            // The counters of all servers are read before the first sample is written. The time that the pipeline takes for a sample must not
            // be part of the next sample's interval.
            List<(Server Server, CounterReading Reading)> after = [.. before.Select(each => (each.Server, CounterReading.Of(each.Server)))];
            Sample[] samples = [.. before.Zip(after, (from, to) => new Sample(to.Server, from.Reading, to.Reading))];

            // A server that is over has no further intervals, because nothing can happen in them.
            before = [.. after.Where(each => !each.Server.IsOver)];
            foreach (Sample sample in samples)
            {
                WriteObject(sample);
            }
        }
    }

    /// <summary>Waits until a time that is measured from the beginning, so that the intervals do not drift.</summary>
    private void WaitUntil(long begun, long ticks)
    {
        TimeSpan left = TimeSpan.FromTicks(ticks) - Stopwatch.GetElapsedTime(begun);

        // If the pipeline took longer for the last rows than an interval, the missed intervals still have the shortest length, so that they
        // are not empty.
        if (left < ShortestInterval)
        {
            left = ShortestInterval;
        }

        while (left > TimeSpan.Zero)
        {
            // WaitOne accepts no more than 24 days.
            if (StopToken.WaitHandle.WaitOne(left < TimeSpan.FromDays(1) ? left : TimeSpan.FromDays(1)))
            {
                throw new PipelineStoppedException();
            }

            left = TimeSpan.FromTicks(ticks) - Stopwatch.GetElapsedTime(begun);
        }
    }
}
