using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;

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

    /// <summary>How long a connection may be idle.</summary>
    [Parameter]
    [Duration]
    public TimeSpan IdleTimeout { get; set; }

    /// <summary>How long the peer's end is awaited after this side has closed.</summary>
    [Parameter]
    [Duration]
    public TimeSpan LingerTimeout { get; set; }

    /// <summary>How long a peer may take no output.</summary>
    [Parameter]
    [Duration]
    public TimeSpan WriteTimeout { get; set; }

    /// <summary>The bytes of queued output above which a connection is not read.</summary>
    [Parameter]
    public int HighWaterMark { get; set; }

    /// <summary>Whether small writes are sent at once.</summary>
    /// <remarks>Not a switch: one that is on by default can only be given to no effect.</remarks>
    [Parameter]
    public bool NoDelay { get; set; } = true;

    /// <summary>What the server speaks.</summary>
    [Parameter]
    public BuiltInProtocol Protocol { get; set; }

    /// <summary>Starts the server.</summary>
    protected override void ProcessRecord()
    {
        string where = string.Join(", ", (Address ?? [IPAddress.Loopback]).Select(address => new IPEndPoint(address, Port)));
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
            Server server = Start(reservation);
            ServerRegistry.Add(server);
            started = true;
            WriteObject(server);
        }
        catch (Engine.ServerStartException e)
        {
            (string id, ErrorCategory category) = Classify(e.Failure);
            Fail(new ServerStartException(e.Message, e.Errno), id, category, where);
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

    private Server Start(ServerRegistry.Reservation reservation)
    {
        Engine.ServerOptions options = Options(reservation.Name);
        options.Validate();
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

    private Engine.ServerOptions Options(string name)
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
        return defaults with
        {
            Name = name,
            Addresses = Address ?? defaults.Addresses,
            Port = Port,
            WorkerCount = IsGiven(nameof(WorkerCount)) ? WorkerCount : defaults.WorkerCount,
            Backlog = IsGiven(nameof(Backlog)) ? Backlog : defaults.Backlog,
            MaxConnections = IsGiven(nameof(MaxConnection)) ? MaxConnection : defaults.MaxConnections,
            IdleTimeout = IsGiven(nameof(IdleTimeout)) ? IdleTimeout : defaults.IdleTimeout,
            LingerTimeout = IsGiven(nameof(LingerTimeout)) ? LingerTimeout : defaults.LingerTimeout,
            WriteTimeout = IsGiven(nameof(WriteTimeout)) ? WriteTimeout : defaults.WriteTimeout,
            HighWaterMark = IsGiven(nameof(HighWaterMark)) ? HighWaterMark : defaults.HighWaterMark,
            NoDelay = NoDelay,
        };
    }

    private static (string Id, ErrorCategory Category) Classify(Engine.StartFailure failure) => failure switch
    {
        Engine.StartFailure.PortInUse => ("PortInUse", ErrorCategory.ResourceBusy),
        Engine.StartFailure.PortAccessDenied => ("PortAccessDenied", ErrorCategory.PermissionDenied),
        Engine.StartFailure.AddressNotAvailable => ("AddressNotAvailable", ErrorCategory.InvalidArgument),
        Engine.StartFailure.DescriptorLimit => ("DescriptorLimit", ErrorCategory.LimitsExceeded),
        _ => ("StartFailed", ErrorCategory.OpenError),
    };

    /// <summary>The engine names its option; the user gave a parameter.</summary>
    private static string Describe(ArgumentException e)
    {
        string parameter = e.ParamName switch
        {
            nameof(Engine.ServerOptions.Addresses) => nameof(Address),
            nameof(Engine.ServerOptions.MaxConnections) => nameof(MaxConnection),
            null => "",
            string option => option,
        };
        int suffix = e.Message.LastIndexOf(" (Parameter '", StringComparison.Ordinal);
        return parameter.Length == 0 || suffix < 0 ? e.Message : $"-{parameter}: {e.Message[..suffix]}";
    }

    private void Fail(Exception exception, string id, ErrorCategory category, object? target) =>
        ThrowTerminatingError(new ErrorRecord(exception, id, category, target));
}
