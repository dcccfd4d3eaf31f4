using System.Diagnostics;
using System.Globalization;
using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;
using Microsoft.PowerShell.Commands;

namespace C10kServer.Commands;

/// <summary>Invoke-C10kLoad: puts a load on a server that echoes, checks every byte, and writes the result.</summary>
[Cmdlet(VerbsLifecycle.Invoke, "C10kLoad", DefaultParameterSetName = ByPort, HelpUri = OnlineHelp)]
[OutputType(typeof(LoadResult))]
public sealed class InvokeC10kLoadCommand : C10kCmdlet
{
    private const string ByPort = "Port";
    private const string ByPath = "UnixPath";
    private const string ByObject = "InputObject";

    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    /// <summary>The port to connect to.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByPort)]
    [ValidateRange(1, 65535)]
    public int Port { get; set; }

    /// <summary>The address that the server listens on. For a server that listens on all addresses, any address of this machine.</summary>
    [Parameter(ParameterSetName = ByPort)]
    [ValidateNotNull]
    [ArgumentCompleter(typeof(ListenAddressCompleter))]
    public ListenAddress Address { get; set; } = new(IPAddress.Loopback);

    /// <summary>The path of a Unix domain socket to connect to.</summary>
    [Parameter(Mandatory = true, ParameterSetName = ByPath)]
    [ValidateNotNullOrEmpty]
    public string? UnixPath { get; set; }

    /// <summary>Servers of this process. Each gets its load in turn.</summary>
    [Parameter(Mandatory = true, Position = 0, ParameterSetName = ByObject, ValueFromPipeline = true)]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    public ServerTarget[]? InputObject { get; set; }

    /// <summary>What the connections do.</summary>
    [Parameter]
    public LoadMode Mode { get; set; }

    /// <summary>The number of connections at a time.</summary>
    [Parameter]
    public int Connection { get; set; }

    /// <summary>How long requests are sent, or connections held.</summary>
    [Parameter]
    public Duration Duration { get; set; }

    /// <summary>The total number of requests, or for Churn the total number of connections.</summary>
    [Parameter]
    [ValidateRange(1, long.MaxValue)]
    public long Count { get; set; }

    /// <summary>The size of a request, and of its answer, in bytes.</summary>
    [Parameter]
    public int MessageSize { get; set; }

    /// <summary>The number of requests in flight on each connection.</summary>
    [Parameter]
    public int Pipeline { get; set; }

    /// <summary>The requests per second on all connections together, sent when they are due.</summary>
    [Parameter]
    public double Rate { get; set; }

    /// <summary>How long it may take to make a connection.</summary>
    [Parameter]
    public Duration ConnectTimeout { get; set; }

    /// <summary>How long a connection waits for an answer.</summary>
    [Parameter]
    public Duration Timeout { get; set; }

    /// <summary>Loads each target in turn.</summary>
    protected override void ProcessRecord()
    {
        if (ParameterSetName != ByObject)
        {
            EndPoint? target = ParameterSetName == ByPath
                ? new Engine.UnixEndPoint(Resolve(UnixPath!))
                : Reachable(new IPEndPoint(Address.IPAddress, Port), DualModeOf(Port));
            if (target is not null)
            {
                Load(target, IsOwn(target));
            }

            return;
        }

        foreach (Server server in FindServers(names: null, ids: null, InputObject))
        {
            if (server.State is ServerState.Stopped or ServerState.Faulted)
            {
                WriteError(new ErrorRecord(
                    new InvalidOperationException($"{server.Name} is {server.State}: there is nothing to connect to. Start-C10kServer starts another one."),
                    "ServerNotRunning", ErrorCategory.InvalidOperation, server));
                continue;
            }

            if ((server.EndPoint is IPEndPoint ip ? Reachable(ip, server.Options.DualMode) : server.EndPoint) is EndPoint own)
            {
                Load(own, isOwn: true);
            }
        }
    }

    /// <summary>Resolves a path for the kernel, which knows neither the shell's location nor its drives.</summary>
    private string Resolve(string path)
    {
        string full = SessionState.Path.GetUnresolvedProviderPathFromPSPath(path, out ProviderInfo provider, out _);
        if (provider.Name != FileSystemProvider.ProviderName)
        {
            ThrowTerminatingError(new ErrorRecord(
                new ArgumentException($"-UnixPath: '{path}' is a place of {provider.Name}, and a socket is a file."),
                "InvalidArgument", ErrorCategory.InvalidArgument, path));
        }

        return full;
    }

    /// <summary>The address at which a server can be reached from this process. Null if there is none; then the error is written.</summary>
    private IPEndPoint? Reachable(IPEndPoint listening, bool? dualMode)
    {
        if (LocalTarget.For(listening.Address, dualMode) is IPAddress address)
        {
            return new IPEndPoint(address, listening.Port);
        }

        Fail(new LoadException($"No connection to {listening} can be made: {LocalTarget.None}.", 0), "ConnectFailed", ErrorCategory.ConnectionError, listening);
        return null;
    }

    /// <summary>Whether the server of this process on :: with that port takes IPv4, too. Null if there is no such server.</summary>
    private static bool? DualModeOf(int port) => ServerRegistry.List()
        .Where(server => server.EndPoints.Any(endPoint => endPoint is IPEndPoint ip && ip.Port == port && ip.Address.Equals(IPAddress.IPv6Any)))
        .Select(server => (bool?)server.Options.DualMode)
        .FirstOrDefault();

    /// <summary>Whether the server runs in this process. If it does, its descriptors count, too.</summary>
    private static bool IsOwn(EndPoint target) => ServerRegistry.List().Any(server => server.EndPoints.Any(endPoint =>
        target is IPEndPoint ip ? endPoint is IPEndPoint own && own.Port == ip.Port : target.Equals(endPoint)));

    private void Load(EndPoint target, bool isOwn)
    {
        if (Run(Options(target, isOwn)) is LoadResult result)
        {
            WriteObject(result);
        }
    }

    /// <summary>Runs the load. Returns null if there is no result, because of Ctrl+C or because of an error that is written.</summary>
    private LoadResult? Run(Engine.Load.LoadOptions options)
    {
        try
        {
            using Engine.Load.LoadGenerator load = new(options);
            using CancellationTokenRegistration stopping = StopToken.Register(load.Stop);
            load.Start();
            Watch(load, options.Target);
            return load.Report is Engine.Load.LoadReport report ? new LoadResult(options, report) : null;
        }
        catch (Engine.Load.LoadException e)
        {
            (string id, ErrorCategory category) = e.Failure switch
            {
                Engine.Load.LoadFailure.DescriptorLimit => ("DescriptorLimit", ErrorCategory.LimitsExceeded),
                Engine.Load.LoadFailure.ThreadLimit => ("ThreadLimit", ErrorCategory.LimitsExceeded),
                _ => ("ConnectFailed", ErrorCategory.ConnectionError),
            };
            Fail(new LoadException(e.Message, e.Errno), id, category, options.Target);
        }
        catch (ArgumentException e) when (e.ParamName is not null)
        {
            ThrowTerminatingError(new ErrorRecord(new ArgumentException(Describe(e)), "InvalidArgument", ErrorCategory.InvalidArgument, null));
        }

        return null;
    }

    /// <summary>Writes progress once a second, from the pipeline's thread, until the load is over.</summary>
    private void Watch(Engine.Load.LoadGenerator load, EndPoint target)
    {
        ProgressRecord record = new(1, $"{Mode} load on {target}", "Connecting");
        Stopwatch sinceLast = Stopwatch.StartNew();
        long last = 0;
        bool shown = false;
        while (!load.Wait(LookInterval))
        {
            Engine.Load.LoadProgress progress = load.Progress;
            double rate = (progress.Requests - last) / sinceLast.Elapsed.TotalSeconds;
            last = progress.Requests;
            sinceLast.Restart();
            Describe(progress, rate, record);
            WriteProgress(record);
            shown = true;
        }

        if (shown && !Stopping)
        {
            record.RecordType = ProgressRecordType.Completed;
            WriteProgress(record);
        }
    }

    private void Describe(Engine.Load.LoadProgress progress, double rate, ProgressRecord record)
    {
        IFormatProvider invariant = CultureInfo.InvariantCulture;
        string errors = progress.Errors == 0 ? "" : string.Create(invariant, $", {progress.Errors} errors");
        record.StatusDescription = progress.Phase switch
        {
            Engine.Load.LoadPhase.Connecting => string.Create(invariant, $"{progress.Connected} connected{errors}"),
            Engine.Load.LoadPhase.Holding => string.Create(invariant, $"{progress.Connected} connections held{errors}"),
            Engine.Load.LoadPhase.Finishing => string.Create(invariant, $"{progress.Requests} requests, the last answers are awaited{errors}"),
            _ => string.Create(invariant, $"{progress.Requests} requests, {rate:0} a second{errors}"),
        };
        record.SecondsRemaining =
            progress.Left is TimeSpan left ? (int)Math.Ceiling(left.TotalSeconds)
            : IsGiven(nameof(Count)) && rate > 0 ? (int)Math.Min(int.MaxValue, (Count - progress.Requests) / rate)
            : -1;
        record.PercentComplete =
            IsGiven(nameof(Count)) ? (int)Math.Min(100, progress.Requests * 100.0 / Count)
            : progress.Left is TimeSpan rest && progress.Phase != Engine.Load.LoadPhase.Finishing ? (int)Math.Clamp(100 - (rest / Length * 100), 0, 100)
            : -1;
    }

    private TimeSpan Length => IsGiven(nameof(Duration)) ? Duration : TimeSpan.FromSeconds(10);

    private Engine.Load.LoadOptions Options(EndPoint target, bool isOwn)
    {
        Engine.Load.LoadOptions defaults = new() { Target = target };
        return defaults with
        {
            Mode = (Engine.Load.LoadMode)Mode,
            IsOwnServer = isOwn,
            Connections = IsGiven(nameof(Connection)) ? Connection : defaults.Connections,
            Duration = IsGiven(nameof(Duration)) ? Duration : IsGiven(nameof(Count)) ? TimeSpan.Zero : defaults.Duration,
            Count = Count,
            MessageSize = IsGiven(nameof(MessageSize)) ? MessageSize : defaults.MessageSize,
            Pipeline = IsGiven(nameof(Pipeline)) ? Pipeline : defaults.Pipeline,
            Rate = Rate,
            ConnectTimeout = IsGiven(nameof(ConnectTimeout)) ? ConnectTimeout : defaults.ConnectTimeout,
            Timeout = IsGiven(nameof(Timeout)) ? Timeout : defaults.Timeout,
        };
    }

    /// <summary>Describes the error with the parameter's name, because the engine names its option and the user gave a parameter.</summary>
    private string Describe(ArgumentException e) => EngineErrors.Describe(e, e.ParamName switch
    {
        nameof(Engine.Load.LoadOptions.Connections) => nameof(Connection),
        nameof(Engine.Load.LoadOptions.Target) => ParameterSetName == ByPort ? nameof(Address) : nameof(UnixPath),
        _ => e.ParamName!,
    });

    /// <summary>
    /// Reports that a target failed. With -InputObject the error does not end the cmdlet, because the next server can still be loaded.
    /// Otherwise there is only one target, and the error ends the cmdlet.
    /// </summary>
    private void Fail(Exception exception, string id, ErrorCategory category, object target)
    {
        ErrorRecord error = new(exception, id, category, target);
        if (ParameterSetName != ByObject)
        {
            ThrowTerminatingError(error);
        }

        WriteError(error);
    }
}
