using System.Net;

namespace C10kServer;

/// <summary>The options that a server was started with. They have the names of Start-C10kServer's parameters.</summary>
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

    /// <summary>The protocol of the server: a built-in protocol, Script, or the type of a compiled handler.</summary>
    public string Protocol { get; }

    /// <summary>The compiled handler, or its type. Null for other servers.</summary>
    public object? Handler { get; }

    /// <summary>The addresses to listen on. Empty if the server listens on a path alone, or on sockets that systemd passed.</summary>
    public IPAddress[] Address { get; }

    /// <summary>The path of the Unix domain socket to listen on.</summary>
    public string? UnixPath { get; }

    /// <summary>The mode of the socket's file. Null if the process's umask decides.</summary>
    public UnixFileMode? UnixMode { get; }

    /// <summary>Whether the server listens on sockets that systemd passed.</summary>
    public bool SystemdSocket { get; }

    /// <summary>Whether a server on :: takes IPv4 connections too.</summary>
    public bool DualMode { get; }

    /// <summary>The port that was asked for. 0 lets the kernel choose.</summary>
    public int Port { get; }

    /// <summary>The number of worker threads.</summary>
    public int WorkerCount { get; }

    /// <summary>The length of the accept queue that was asked for.</summary>
    public int Backlog { get; }

    /// <summary>The highest number of connections at a time. 0 means as many as the descriptor limit allows.</summary>
    public int MaxConnection { get; }

    /// <summary>The highest number of connections of one remote address at a time. 0 means no limit.</summary>
    public int MaxConnectionPerAddress { get; }

    /// <summary>The highest number of connections accepted per second. 0 means no limit.</summary>
    public int AcceptRate { get; }

    /// <summary>How new connections are dealt to the workers.</summary>
    public DispatchMode Dispatch { get; }

    /// <summary>How long a connection may be idle. Zero means no limit.</summary>
    public TimeSpan IdleTimeout { get; }

    /// <summary>How long a connection's first message may take. Zero means no limit.</summary>
    public TimeSpan HandshakeTimeout { get; }

    /// <summary>How long this side waits for the peer's end after it has closed.</summary>
    public TimeSpan LingerTimeout { get; }

    /// <summary>How long a peer may go without taking output.</summary>
    public TimeSpan WriteTimeout { get; }

    /// <summary>How long a peer may be silent before it is probed. Zero means no probes.</summary>
    public TimeSpan KeepAlive { get; }

    /// <summary>How long sent data may stay unacknowledged. Zero means the kernel's default.</summary>
    public TimeSpan UserTimeout { get; }

    /// <summary>
    /// The bytes of queued output above which the server does not read from a connection, and the connection's script handler gets no message.
    /// </summary>
    public int HighWaterMark { get; }

    /// <summary>The microseconds for which a worker polls for more events before it blocks.</summary>
    public int BusyPoll { get; }

    /// <summary>The highest number of bytes that may wait to be sent on a connection.</summary>
    public int MaxSendQueue { get; }

    /// <summary>Whether small writes are sent at once.</summary>
    public bool NoDelay { get; }

    /// <summary>The log level. Less important records are not logged.</summary>
    public LogLevel LogLevel { get; }

    /// <summary>The file that the log is appended to, with its full path. Null if there is none.</summary>
    public string? LogPath { get; }

    /// <summary>
    /// The script that is called with each message. This property and most of the following ones have a value only for a script handler.
    /// </summary>
    public string? ScriptBlock { get; }

    /// <summary>The script that is called when a connection opens.</summary>
    public string? OnConnect { get; }

    /// <summary>The script that is called when a connection is over.</summary>
    public string? OnClose { get; }

    /// <summary>The rule for where a message ends.</summary>
    public Framing? Framing { get; }

    /// <summary>The delimiter that ends a message, if the framing has one.</summary>
    public object? Delimiter { get; }

    /// <summary>The number of bytes of the length that stands before a message.</summary>
    public int? LengthSize { get; }

    /// <summary>The byte order of that length.</summary>
    public ByteOrder? ByteOrder { get; }

    /// <summary>The number of bytes of a message of fixed size.</summary>
    public int? MessageSize { get; }

    /// <summary>The end of the lines that the handler sends.</summary>
    public NewLine? NewLine { get; }

    /// <summary>The encoding of text.</summary>
    public string? Encoding { get; }

    /// <summary>Whether the handler gets bytes instead of text.</summary>
    public bool? AsByteStream { get; }

    /// <summary>The highest number of bytes that a message may have. Null if messages have no end.</summary>
    public int? MaxMessage { get; }

    /// <summary>How long a message that has begun may take until it is complete. Zero means no limit. Null if messages have no end.</summary>
    public TimeSpan? MessageTimeout { get; }

    /// <summary>The number of handler threads.</summary>
    public int? HandlerCount { get; }

    /// <summary>How long the handler may take for a message. Zero means no limit.</summary>
    public TimeSpan? HandlerTimeout { get; }

    /// <summary>The modules that the handler's runspaces import.</summary>
    public string[]? ImportModule { get; }

    /// <summary>The further arguments of the scripts.</summary>
    public object?[]? ArgumentList { get; }

    /// <summary>A short text with the options that distinguish one server from another.</summary>
    /// <returns>For instance "Echo, 8 workers".</returns>
    public override string ToString() => $"{Protocol}, {WorkerCount} worker{(WorkerCount == 1 ? "" : "s")}";
}
