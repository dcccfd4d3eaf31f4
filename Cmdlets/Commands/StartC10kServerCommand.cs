using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;
using Microsoft.PowerShell.Commands;

namespace C10kServer.Commands;

/// <summary>Start-C10kServer: starts a server and hands it back once it listens.</summary>
[Cmdlet(VerbsLifecycle.Start, "C10kServer", SupportsShouldProcess = true)]
[OutputType(typeof(Server))]
public sealed class StartC10kServerCommand : C10kCmdlet
{
    /// <summary>The server's name.</summary>
    [Parameter(Position = 0)]
    [ServerName]
    public string? Name { get; set; }

    /// <summary>The addresses to listen on.</summary>
    [Parameter]
    [Address]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ListenAddressCompleter))]
    public IPAddress[]? Address { get; set; }

    /// <summary>The path of a Unix domain socket to listen on; without addresses it is the only place.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? UnixPath { get; set; }

    /// <summary>Who may connect to it, as the mode of its file.</summary>
    [Parameter]
    [UnixMode]
    public UnixFileMode UnixMode { get; set; }

    /// <summary>Takes over the listening sockets that systemd passed; without addresses and path they are the only ones.</summary>
    [Parameter]
    public SwitchParameter SystemdSocket { get; set; }

    /// <summary>A server on :: takes IPv4 connections too.</summary>
    [Parameter]
    public SwitchParameter DualMode { get; set; }

    /// <summary>The port to listen on; 0 lets the kernel choose.</summary>
    [Parameter]
    [ValidateRange(0, 65535)]
    public int Port { get; set; }

    /// <summary>The number of worker threads.</summary>
    [Parameter]
    [Alias("Workers")]
    public int WorkerCount { get; set; }

    /// <summary>The length of the kernel's accept queue.</summary>
    [Parameter]
    public int Backlog { get; set; }

    /// <summary>The most connections at a time.</summary>
    [Parameter]
    public int MaxConnection { get; set; }

    /// <summary>The most connections of one remote address at a time.</summary>
    [Parameter]
    public int MaxConnectionPerAddress { get; set; }

    /// <summary>The most connections accepted a second.</summary>
    [Parameter]
    public int AcceptRate { get; set; }

    /// <summary>How new connections are dealt to the workers.</summary>
    [Parameter]
    public DispatchMode Dispatch { get; set; }

    /// <summary>How long a connection may be idle.</summary>
    [Parameter]
    [Duration]
    public TimeSpan IdleTimeout { get; set; }

    /// <summary>How long a connection's first message may take.</summary>
    [Parameter]
    [Duration]
    public TimeSpan HandshakeTimeout { get; set; }

    /// <summary>How long the peer's end is awaited after this side has closed.</summary>
    [Parameter]
    [Duration]
    public TimeSpan LingerTimeout { get; set; }

    /// <summary>How long a peer may take no output.</summary>
    [Parameter]
    [Duration]
    public TimeSpan WriteTimeout { get; set; }

    /// <summary>How long a peer may be silent until it is probed.</summary>
    [Parameter]
    [Duration]
    public TimeSpan KeepAlive { get; set; }

    /// <summary>How long sent data may stay unacknowledged.</summary>
    [Parameter]
    [Duration]
    public TimeSpan UserTimeout { get; set; }

    /// <summary>The bytes of queued output above which a connection is not read.</summary>
    [Parameter]
    public int HighWaterMark { get; set; }

    /// <summary>Whether small writes are sent at once.</summary>
    /// <remarks>Not a switch: one that is on by default can only be given to no effect.</remarks>
    [Parameter]
    public bool NoDelay { get; set; } = true;

    /// <summary>What matters less is not logged.</summary>
    [Parameter]
    public LogLevel LogLevel { get; set; }

    /// <summary>A file that the log is appended to.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? LogPath { get; set; }

    /// <summary>What the server speaks.</summary>
    [Parameter]
    public BuiltInProtocol Protocol { get; set; }

    /// <summary>Starts the server.</summary>
    protected override void ProcessRecord()
    {
        RefuseWhatHasNoEffect();
        string? path = UnixPath is null ? null : Resolve(UnixPath, nameof(UnixPath), "a socket is a file");
        string where = string.Join(", ", Places(path));
        if (!ShouldProcess($"{Name ?? "new server"} on {where}", $"Start {Protocol} server"))
        {
            return;
        }

        ServerRegistry.Reservation? reservation = ServerRegistry.Reserve(Name);
        if (reservation is null)
        {
            Fail(new InvalidOperationException(
                $"There is a server called '{Name}' already. Choose another name, or stop that one: Stop-C10kServer '{Name}'."),
                "NameInUse", ErrorCategory.ResourceExists, Name);
            return;
        }

        bool started = false;
        try
        {
            Server server = Start(reservation, path);
            ServerRegistry.Add(server);
            started = true;
            WriteObject(server);
        }
        catch (Engine.ServerStartException e)
        {
            (string id, ErrorCategory category) = Classify(e);
            Fail(new ServerStartException(e.Message, e.Errno), id, category, e.Failure == Engine.StartFailure.LogPathNotWritable ? LogPath : where);
        }
        catch (ArgumentException e) when (!started)
        {
            Fail(new ArgumentException(Describe(e)), "InvalidArgument", ErrorCategory.InvalidArgument, null);
        }
        finally
        {
            if (!started)
            {
                ServerRegistry.Release(reservation);
            }
        }
    }

    /// <summary>Where nobody says where, it is loopback.</summary>
    private IPAddress[] Addresses() => Address ?? (UnixPath is not null || SystemdSocket ? [] : [IPAddress.Loopback]);

    private IEnumerable<string> Places(string? path)
    {
        foreach (IPAddress address in Addresses())
        {
            yield return new IPEndPoint(address, Port).ToString();
        }

        if (path is not null)
        {
            yield return $"unix:{path}";
        }

        if (SystemdSocket)
        {
            yield return "the sockets of systemd";
        }
    }

    /// <summary>An option that would do nothing was meant to do something.</summary>
    private void RefuseWhatHasNoEffect()
    {
        IPAddress[] addresses = Addresses();
        string? problem =
            IsGiven(nameof(UnixMode)) && UnixPath is null
                ? "-UnixMode is the mode of a socket's file: give -UnixPath with it."
            : DualMode && !addresses.Contains(IPAddress.IPv6Any)
                ? "-DualMode is for a server on every IPv6 interface: give -Address :: with it."
            : Port != 0 && addresses.Length == 0
                ? "-Port needs an address: without one the server listens on -UnixPath or on the sockets of systemd alone. " +
                  "Give -Address too, 127.0.0.1 for this machine alone."
            : null;
        if (problem is not null)
        {
            Fail(new ArgumentException(problem), "InvalidArgument", ErrorCategory.InvalidArgument, null);
        }
    }

    /// <summary>The kernel knows neither the shell's location nor its drives.</summary>
    private string Resolve(string path, string parameter, string why)
    {
        string full = SessionState.Path.GetUnresolvedProviderPathFromPSPath(path, out ProviderInfo provider, out _);
        if (provider.Name != FileSystemProvider.ProviderName)
        {
            Fail(new ArgumentException($"-{parameter}: '{path}' is a place of {provider.Name}, and {why}."),
                "InvalidArgument", ErrorCategory.InvalidArgument, path);
        }

        return full;
    }

    /// <summary>The sockets that this process was started with.</summary>
    private IReadOnlyList<int> TakeInherited()
    {
        IReadOnlyList<int> sockets = Engine.InheritedSockets.Take();
        if (sockets.Count == 0)
        {
            Fail(new InvalidOperationException(
                "systemd passed no socket to this process, or another server has them already. Start the process by a .socket unit, " +
                "or with systemd-socket-activate; LISTEN_PID and LISTEN_FDS tell of the sockets."),
                "NoSystemdSocket", ErrorCategory.ResourceUnavailable, null);
        }

        return sockets;
    }

    private Server Start(ServerRegistry.Reservation reservation, string? path)
    {
        Engine.ServerOptions options = Options(reservation.Name, path);
        Engine.Server engine = new(options);
        try
        {
            engine.Start();
        }
        catch
        {
            engine.Dispose();
            throw;
        }

        return new Server(reservation.Id, reservation.Name, Protocol.ToString(), CurrentRunspace, engine);
    }

    private Engine.ServerOptions Options(string name, string? path)
    {
        Engine.ServerOptions defaults = new()
        {
            HandlerFactory = Protocol switch
            {
                BuiltInProtocol.Hello => Engine.Handlers.BuiltInHandlers.Hello,
                BuiltInProtocol.Discard => Engine.Handlers.BuiltInHandlers.Discard,
                _ => Engine.Handlers.BuiltInHandlers.Echo,
            },
        };
        Engine.ServerOptions options = defaults with
        {
            Name = name,
            Addresses = Addresses(),
            UnixPath = path,
            UnixMode = IsGiven(nameof(UnixMode)) ? UnixMode : null,
            DualMode = DualMode,
            Port = Port,
            WorkerCount = IsGiven(nameof(WorkerCount)) ? WorkerCount : defaults.WorkerCount,
            Backlog = IsGiven(nameof(Backlog)) ? Backlog : defaults.Backlog,
            MaxConnections = IsGiven(nameof(MaxConnection)) ? MaxConnection : defaults.MaxConnections,
            MaxConnectionsPerAddress =
                IsGiven(nameof(MaxConnectionPerAddress)) ? MaxConnectionPerAddress : defaults.MaxConnectionsPerAddress,
            AcceptRate = IsGiven(nameof(AcceptRate)) ? AcceptRate : defaults.AcceptRate,
            Dispatch = IsGiven(nameof(Dispatch)) ? (Engine.DispatchMode)Dispatch : defaults.Dispatch,
            IdleTimeout = IsGiven(nameof(IdleTimeout)) ? IdleTimeout : defaults.IdleTimeout,
            HandshakeTimeout = IsGiven(nameof(HandshakeTimeout)) ? HandshakeTimeout : defaults.HandshakeTimeout,
            LingerTimeout = IsGiven(nameof(LingerTimeout)) ? LingerTimeout : defaults.LingerTimeout,
            WriteTimeout = IsGiven(nameof(WriteTimeout)) ? WriteTimeout : defaults.WriteTimeout,
            KeepAliveTime = IsGiven(nameof(KeepAlive)) ? KeepAlive : defaults.KeepAliveTime,
            UserTimeout = IsGiven(nameof(UserTimeout)) ? UserTimeout : defaults.UserTimeout,
            HighWaterMark = IsGiven(nameof(HighWaterMark)) ? HighWaterMark : defaults.HighWaterMark,
            NoDelay = NoDelay,
            LogPath = LogPath is null ? null : Resolve(LogPath, nameof(LogPath), "a log is a file"),
        };
        if (IsGiven(nameof(LogLevel)))
        {
            options.Log.MinimumLevel = (Engine.EventLevel)LogLevel;
        }

        if (!SystemdSocket)
        {
            options.Validate();
            return options;
        }

        // They can be taken once in a process, so not for options that are wrong anyway. Any number stands for them meanwhile.
        (options with { Inherited = [0] }).Validate();
        return options with { Inherited = TakeInherited() };
    }

    private static (string Id, ErrorCategory Category) Classify(Engine.ServerStartException e) => e.Failure switch
    {
        Engine.StartFailure.PortInUse => ("PortInUse", ErrorCategory.ResourceBusy),
        Engine.StartFailure.PortAccessDenied => ("PortAccessDenied", ErrorCategory.PermissionDenied),
        Engine.StartFailure.AddressNotAvailable => ("AddressNotAvailable", ErrorCategory.InvalidArgument),
        Engine.StartFailure.DescriptorLimit => ("DescriptorLimit", ErrorCategory.LimitsExceeded),
        Engine.StartFailure.LogPathNotWritable => ("LogPathNotWritable", ClassifyLog(e.Errno)),
        _ => ("StartFailed", ErrorCategory.OpenError),
    };

    private static ErrorCategory ClassifyLog(int errno)
    {
        // errno(3).
        const int EPERM = 1, ENOENT = 2, EACCES = 13, ENOTDIR = 20, EISDIR = 21, ENOSPC = 28, EROFS = 30;
        return errno switch
        {
            EPERM or EACCES or EROFS => ErrorCategory.PermissionDenied,
            ENOENT or ENOTDIR => ErrorCategory.ObjectNotFound,
            EISDIR => ErrorCategory.InvalidArgument,
            ENOSPC => ErrorCategory.ResourceUnavailable,
            _ => ErrorCategory.OpenError,
        };
    }

    /// <summary>The engine names its option; the user gave a parameter.</summary>
    private static string Describe(ArgumentException e)
    {
        string parameter = e.ParamName switch
        {
            nameof(Engine.ServerOptions.Addresses) => nameof(Address),
            nameof(Engine.ServerOptions.MaxConnections) => nameof(MaxConnection),
            nameof(Engine.ServerOptions.MaxConnectionsPerAddress) => nameof(MaxConnectionPerAddress),
            nameof(Engine.ServerOptions.KeepAliveTime) => nameof(KeepAlive),
            null => "",
            string option => option,
        };
        int suffix = e.Message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        return parameter.Length == 0 || suffix < 0 ? e.Message : $"-{parameter}: {e.Message[..suffix]}";
    }

    private void Fail(Exception exception, string id, ErrorCategory category, object? target) =>
        ThrowTerminatingError(new ErrorRecord(exception, id, category, target));
}
