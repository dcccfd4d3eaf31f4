using System.Management.Automation;
using System.Net;
using C10kServer.Parameters;
using C10kServer.Scripting;
using Microsoft.PowerShell.Commands;

namespace C10kServer.Commands;

/// <summary>Start-C10kServer: starts a server and returns it once it listens.</summary>
[Cmdlet(VerbsLifecycle.Start, "C10kServer", DefaultParameterSetName = BuiltInSet, SupportsShouldProcess = true, HelpUri = OnlineHelp)]
[OutputType(typeof(Server))]
public sealed partial class StartC10kServerCommand : C10kCmdlet
{
    private const string BuiltInSet = "BuiltIn";
    private const string CompiledSet = "Compiled";

    // Whether this start has taken the sockets of systemd. If the start fails, it gives them back for the next one.
    private bool _tookInherited;

    /// <summary>The server's name.</summary>
    [Parameter(Position = 0)]
    [ServerName]
    public string? Name { get; set; }

    /// <summary>The addresses to listen on.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ArgumentCompleter(typeof(ListenAddressCompleter))]
    public ListenAddress[]? Address { get; set; }

    /// <summary>The path of a Unix domain socket to listen on. Without addresses it is the only place.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? UnixPath { get; set; }

    /// <summary>The mode of the socket's file, which decides who may connect.</summary>
    [Parameter]
    [UnixMode]
    public UnixFileMode UnixMode { get; set; }

    /// <summary>Takes over the listening sockets that systemd passed. Without addresses and path they are the only ones.</summary>
    [Parameter]
    public SwitchParameter SystemdSocket { get; set; }

    /// <summary>Makes a server on :: take IPv4 connections, too.</summary>
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

    /// <summary>The highest number of connections at a time.</summary>
    [Parameter]
    public int MaxConnection { get; set; }

    /// <summary>The highest number of connections of one remote address at a time.</summary>
    [Parameter]
    public int MaxConnectionPerAddress { get; set; }

    /// <summary>The highest number of connections accepted per second.</summary>
    [Parameter]
    public int AcceptRate { get; set; }

    /// <summary>How new connections are dealt to the workers.</summary>
    [Parameter]
    public DispatchMode Dispatch { get; set; }

    /// <summary>How long a connection may be idle.</summary>
    [Parameter]
    public Duration IdleTimeout { get; set; }

    /// <summary>How long a connection's first message may take.</summary>
    [Parameter]
    public Duration HandshakeTimeout { get; set; }

    /// <summary>How long this side waits for the peer's end after it has closed.</summary>
    [Parameter]
    public Duration LingerTimeout { get; set; }

    /// <summary>How long a peer may go without taking output.</summary>
    [Parameter]
    public Duration WriteTimeout { get; set; }

    /// <summary>How long a peer may be silent before it is probed.</summary>
    [Parameter]
    public Duration KeepAlive { get; set; }

    /// <summary>How long sent data may stay unacknowledged.</summary>
    [Parameter]
    public Duration UserTimeout { get; set; }

    /// <summary>The bytes of queued output above which the server does not read from a connection.</summary>
    [Parameter]
    public int HighWaterMark { get; set; }

    /// <summary>The highest number of bytes that may wait to be sent on a connection.</summary>
    [Parameter]
    public int MaxSendQueue { get; set; }

    /// <summary>The microseconds for which a worker polls for more events before it blocks.</summary>
    [Parameter]
    [ValidateRange(0, 1_000_000)]
    public int BusyPoll { get; set; }

    /// <summary>Whether small writes are sent at once.</summary>
    /// <remarks>The type is not a switch, because giving a switch that is on by default would have no effect.</remarks>
    [Parameter]
    public bool NoDelay { get; set; } = true;

    /// <summary>The log level. Less important records are not logged.</summary>
    [Parameter]
    public LogLevel LogLevel { get; set; }

    /// <summary>A file that the log is appended to.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? LogPath { get; set; }

    /// <summary>The protocol that the server speaks.</summary>
    [Parameter(ParameterSetName = BuiltInSet)]
    public BuiltInProtocol Protocol { get; set; }

    /// <summary>
    /// A handler written in C#: an object that serves all connections, or a type, of which each connection gets its own object.
    /// </summary>
    /// <remarks>
    /// The shell sees a parameter of type object, because a type of the engine, which has a load context of its own, would have to be loaded at
    /// import.
    /// </remarks>
    [Parameter(ParameterSetName = CompiledSet, Mandatory = true)]
    public object Handler { get; set; } = null!;

    /// <summary>Starts the server.</summary>
    protected override void ProcessRecord()
    {
        RefuseWhatHasNoEffect();
        HandlerSource handler = FindHandler();
        string? path = UnixPath is null ? null : Resolve(UnixPath, nameof(UnixPath), "a socket is a file");
        string where = string.Join(", ", Places(path));
        if (IsWhatIf)
        {
            Check(path, handler);
        }

        if (!ShouldProcess($"{Name ?? "new server"} on {where}", $"Start {handler.Name} server"))
        {
            return;
        }

        ServerRegistry.Reservation? reservation = ServerRegistry.Reserve(Name);
        if (reservation is null)
        {
            FailNameInUse();
            return;
        }

        bool started = false;
        try
        {
            Server server = Start(reservation, path, handler);
            ServerRegistry.Add(server);
            started = true;
            WriteObject(server);
        }
        catch (Engine.ServerStartException e)
        {
            ThrowTerminatingError(EngineErrors.For(e, e.Failure == Engine.StartFailure.LogPathNotWritable ? LogPath : where));
        }
        catch (HandlerScriptException e)
        {
            Fail(e);
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }
        catch (ArgumentException e) when (!started)
        {
            ThrowTerminatingError(EngineErrors.For(e, null, MyInvocation.BoundParameters));
        }
        finally
        {
            if (!started)
            {
                ServerRegistry.Release(reservation);
                if (_tookInherited)
                {
                    Engine.InheritedSockets.GiveBack();
                }
            }
        }
    }

    /// <summary>Makes the checks of a start that come before it listens. For -WhatIf.</summary>
    private void Check(string? path, HandlerSource handler)
    {
        if (Name is not null && ServerRegistry.IsTaken(Name))
        {
            FailNameInUse();
        }

        try
        {
            Options(Name ?? "new", path, handler);
        }
        catch (ArgumentException e)
        {
            ThrowTerminatingError(EngineErrors.For(e, null, MyInvocation.BoundParameters));
        }
    }

    private HandlerSource FindHandler()
    {
        if (ParameterSetName == BuiltInSet)
        {
            return HandlerSource.BuiltIn(Protocol);
        }

        if (ParameterSetName == ScriptSet)
        {
            return ScriptHandler();
        }

        try
        {
            return HandlerSource.Compiled(Argument.Unwrap(Handler)!);
        }
        catch (ArgumentException e)
        {
            Fail(new ArgumentException($"-{nameof(Handler)}: {e.Message}"), "InvalidHandler", ErrorCategory.InvalidArgument, Handler);
            throw;
        }
    }

    /// <summary>The addresses to listen on. A server for which no place is given listens on the loopback address.</summary>
    private IPAddress[] Addresses() =>
        Address is not null ? [.. Address.Select(address => address.IPAddress)]
        : UnixPath is not null || SystemdSocket ? []
        : [IPAddress.Loopback];

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

    /// <summary>Refuses options that would have no effect, because the user meant them to have one.</summary>
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
            : MessageProblem() ?? ScriptProblem();
        if (problem is not null)
        {
            Fail(new ArgumentException(problem), "InvalidArgument", ErrorCategory.InvalidArgument, null);
        }
    }

    /// <summary>Resolves a path for the kernel, which knows neither the shell's location nor its drives.</summary>
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

    /// <summary>Takes the sockets that this process was started with.</summary>
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

        _tookInherited = true;
        return sockets;
    }

    private Server Start(ServerRegistry.Reservation reservation, string? path, HandlerSource handler)
    {
        Engine.ServerOptions options = Options(reservation.Name, path, handler);

        if (SystemdSocket)
        {
            // The sockets are taken last, because another runspace may want them. A start with wrong options must not take them.
            options = options with { Inherited = TakeInherited() };
            options = options with { MessageTimeout = MessageTimeoutFor(options) };
        }

        Server server = new(reservation.Id, reservation.Name, handler, CurrentRunspace, options);
        server.Start(StopToken);
        return server;
    }

    private Engine.ServerOptions Options(string name, string? path, HandlerSource handler)
    {
        Engine.ServerOptions defaults = new() { HandlerFactory = handler.Factory };
        Engine.ServerOptions options = LiveOptions.Apply(defaults, MyInvocation.BoundParameters) with
        {
            Name = name,
            Addresses = Addresses(),
            UnixPath = path,
            UnixMode = IsGiven(nameof(UnixMode)) ? UnixMode : null,
            DualMode = DualMode,
            Port = Port,
            Backlog = IsGiven(nameof(Backlog)) ? Backlog : defaults.Backlog,
            KeepAliveTime = IsGiven(nameof(KeepAlive)) ? KeepAlive : defaults.KeepAliveTime,
            UserTimeout = IsGiven(nameof(UserTimeout)) ? UserTimeout : defaults.UserTimeout,
            NoDelay = NoDelay,
            Framing = handler.Code?.Framing ?? defaults.Framing,
            MaxMessage = IsGiven(nameof(MaxMessage)) ? MaxMessage : DefaultMaxMessage(defaults),
            LogPath = LogPath is null ? null : Resolve(LogPath, nameof(LogPath), "a log is a file"),
        };
        if (IsGiven(nameof(LogLevel)))
        {
            options.Log.MinimumLevel = (Engine.EventLevel)LogLevel;
        }

        if (!SystemdSocket)
        {
            options = options with { MessageTimeout = MessageTimeoutFor(options) };
            options.Validate();
            return options;
        }

        // The sockets of systemd are not taken yet. Any number can stand for them.
        (options with { Inherited = [0], MessageTimeout = MessageTimeout }).Validate();
        return options;
    }

    private void FailNameInUse() => Fail(
        new InvalidOperationException($"There is a server called '{Name}' already. Choose another name, or stop that one: Stop-C10kServer '{Name}'."),
        "NameInUse", ErrorCategory.ResourceExists, Name);

    private void Fail(HandlerScriptException e) => Fail(new InvalidOperationException(e.Message, e.InnerException), e.Id, e.Category, null);

    private void Fail(Exception exception, string id, ErrorCategory category, object? target) =>
        ThrowTerminatingError(new ErrorRecord(exception, id, category, target));
}
