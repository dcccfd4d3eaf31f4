using System.Net;

namespace C10kServer;

/// <summary>What a server was started with. The names are those of Start-C10kServer's parameters.</summary>
public sealed class ServerOptions
{
    internal ServerOptions(Engine.ServerOptions options, HandlerSource handler)
    {
        Protocol = handler.Name;
        Handler = handler.Given;
        Address = [.. options.Addresses];
        UnixPath = options.UnixPath;
        UnixMode = options.UnixMode;
        SystemdSocket = options.Inherited.Count > 0;
        DualMode = options.DualMode;
        Port = options.Port;
        WorkerCount = options.WorkerCount;
        Backlog = options.Backlog;
        MaxConnection = options.MaxConnections;
        MaxConnectionPerAddress = options.MaxConnectionsPerAddress;
        AcceptRate = options.AcceptRate;
        Dispatch = (DispatchMode)options.Dispatch;
        IdleTimeout = options.IdleTimeout;
        HandshakeTimeout = options.HandshakeTimeout;
        LingerTimeout = options.LingerTimeout;
        WriteTimeout = options.WriteTimeout;
        KeepAlive = options.KeepAliveTime;
        UserTimeout = options.UserTimeout;
        HighWaterMark = options.HighWaterMark;
        BusyPoll = (int)options.BusyPoll.TotalMicroseconds;
        MaxSendQueue = options.MaxSendQueue;
        NoDelay = options.NoDelay;
        LogLevel = (LogLevel)options.Log.MinimumLevel;
        LogPath = options.LogPath;
        if (handler.MessagesEnd)
        {
            MaxMessage = options.MaxMessage;
            MessageTimeout = options.MessageTimeout;
        }

        if (handler.Code is { } code)
        {
            ScriptBlock = code.OnMessage.ToString();
            OnConnect = code.OnConnect?.ToString();
            OnClose = code.OnClose?.ToString();
            Framing = (Framing)code.Framing.Kind;
            Delimiter = code.Delimiter;
            LengthSize = Framing == C10kServer.Framing.Length ? code.Framing.Size : null;
            ByteOrder = Framing != C10kServer.Framing.Length ? null
                : code.Framing.LittleEndian ? C10kServer.ByteOrder.LittleEndian : C10kServer.ByteOrder.BigEndian;
            MessageSize = Framing == C10kServer.Framing.Fixed ? code.Framing.Size : null;
            NewLine = code.NewLine;
            Encoding = code.Encoding.WebName;
            AsByteStream = code.AsBytes;
            HandlerCount = code.ThreadCount;
            HandlerTimeout = code.Timeout;
            ImportModule = code.Modules;
            ArgumentList = code.Arguments;
        }
    }

    /// <summary>What the server speaks: a built-in protocol, Script, or the type of a compiled handler.</summary>
    public string Protocol { get; }

    /// <summary>The compiled handler, or its type; none for a built-in protocol.</summary>
    public object? Handler { get; }

    /// <summary>The addresses to listen on; none where there is only a path, or what systemd passed.</summary>
    public IPAddress[] Address { get; }

    /// <summary>The path of the Unix domain socket to listen on.</summary>
    public string? UnixPath { get; }

    /// <summary>The mode of its file; none where the process's umask was left to decide.</summary>
    public UnixFileMode? UnixMode { get; }

    /// <summary>Whether sockets that systemd passed are listened on.</summary>
    public bool SystemdSocket { get; }

    /// <summary>Whether a server on :: takes IPv4 connections too.</summary>
    public bool DualMode { get; }

    /// <summary>The port that was asked for; 0 left the choice to the kernel.</summary>
    public int Port { get; }

    /// <summary>The number of worker threads.</summary>
    public int WorkerCount { get; }

    /// <summary>The length that was asked for the accept queue.</summary>
    public int Backlog { get; }

    /// <summary>The most connections at a time; 0 is what the descriptor limit allows.</summary>
    public int MaxConnection { get; }

    /// <summary>The most connections of one remote address at a time; 0 is no such limit.</summary>
    public int MaxConnectionPerAddress { get; }

    /// <summary>The most connections accepted a second; 0 is no such limit.</summary>
    public int AcceptRate { get; }

    /// <summary>How new connections are dealt to the workers.</summary>
    public DispatchMode Dispatch { get; }

    /// <summary>How long a connection may be idle; zero is for ever.</summary>
    public TimeSpan IdleTimeout { get; }

    /// <summary>How long a connection's first message may take; zero is for ever.</summary>
    public TimeSpan HandshakeTimeout { get; }

    /// <summary>How long the peer's end is awaited after this side has closed.</summary>
    public TimeSpan LingerTimeout { get; }

    /// <summary>How long a peer may take no output.</summary>
    public TimeSpan WriteTimeout { get; }

    /// <summary>How long a peer may be silent until it is probed; zero is no probing.</summary>
    public TimeSpan KeepAlive { get; }

    /// <summary>How long sent data may stay unacknowledged; zero is the kernel's default.</summary>
    public TimeSpan UserTimeout { get; }

    /// <summary>The bytes of queued output above which a connection is not read, and its script handler gets no message.</summary>
    public int HighWaterMark { get; }

    /// <summary>The microseconds for which a worker looks for more events before it blocks.</summary>
    public int BusyPoll { get; }

    /// <summary>The bytes that may wait to be sent on a connection.</summary>
    public int MaxSendQueue { get; }

    /// <summary>Whether small writes are sent at once.</summary>
    public bool NoDelay { get; }

    /// <summary>What matters less is not logged.</summary>
    public LogLevel LogLevel { get; }

    /// <summary>The file that the log is appended to, with its full path; none where there is none.</summary>
    public string? LogPath { get; }

    /// <summary>The script that is called with each message; what follows is there for such a handler alone.</summary>
    public string? ScriptBlock { get; }

    /// <summary>The script that is called when a connection opens.</summary>
    public string? OnConnect { get; }

    /// <summary>The script that is called when a connection is over.</summary>
    public string? OnClose { get; }

    /// <summary>Where a message ends.</summary>
    public Framing? Framing { get; }

    /// <summary>What ends a message, where that is a delimiter.</summary>
    public object? Delimiter { get; }

    /// <summary>The bytes of the length before a message.</summary>
    public int? LengthSize { get; }

    /// <summary>Their order.</summary>
    public ByteOrder? ByteOrder { get; }

    /// <summary>The bytes of a message of fixed size.</summary>
    public int? MessageSize { get; }

    /// <summary>What ends the lines that are sent.</summary>
    public NewLine? NewLine { get; }

    /// <summary>How text is encoded.</summary>
    public string? Encoding { get; }

    /// <summary>Whether the handler gets bytes.</summary>
    public bool? AsByteStream { get; }

    /// <summary>The most bytes that a message may have; none where nothing ends a message.</summary>
    public int? MaxMessage { get; }

    /// <summary>How long a message that has begun may take to be complete; zero is for ever. None where nothing ends a message.</summary>
    public TimeSpan? MessageTimeout { get; }

    /// <summary>The number of handler threads.</summary>
    public int? HandlerCount { get; }

    /// <summary>How long the handler may take with a message; zero is for ever.</summary>
    public TimeSpan? HandlerTimeout { get; }

    /// <summary>The modules of the handler's runspaces.</summary>
    public string[]? ImportModule { get; }

    /// <summary>Further arguments of the scripts.</summary>
    public object?[]? ArgumentList { get; }

    /// <summary>The options that tell servers apart.</summary>
    /// <returns>For instance "Echo, 8 workers".</returns>
    public override string ToString() => $"{Protocol}, {WorkerCount} worker{(WorkerCount == 1 ? "" : "s")}";
}
