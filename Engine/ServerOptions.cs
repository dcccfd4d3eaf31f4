using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>Everything that a server is told when it is made. Immutable. A duration of zero means "none" if its description says so.</summary>
public sealed record ServerOptions
{
    internal const string NoClientHasAnAddress =
        "Clients of a Unix domain socket have no address that could be counted. Leave the limit out, or let the server listen on an address too.";

    // MAX_TCP_KEEPIDLE of the kernel.
    private const int MaxKeepAliveSeconds = 32_767;

    /// <summary>The server's name, for logs, thread names and people.</summary>
    public string Name { get; init; } = "C10k";

    /// <summary>The addresses to listen on, each IPv4 or IPv6. Loopback unless told otherwise.</summary>
    public IReadOnlyList<IPAddress> Addresses { get; init; } = [IPAddress.Loopback];

    /// <summary>
    /// A Unix domain socket to listen on, besides the addresses, which may be empty then. A file that a server left behind there is
    /// replaced, and the server's own file is removed at the server's end.
    /// </summary>
    public string? UnixPath { get; init; }

    /// <summary>The mode of the socket's file, which says who may connect. Null: the mode that the process's umask gives.</summary>
    public UnixFileMode? UnixMode { get; init; }

    /// <summary>
    /// Listening sockets that the process was started with, see <see cref="InheritedSockets"/>, besides the addresses, which may be empty
    /// then. A start takes the descriptors over and closes them. A start that fails leaves them open.
    /// </summary>
    public IReadOnlyList<int> Inherited { get; init; } = [];

    /// <summary>The port, 0 to 65535. 0 takes a free port, the same on all addresses.</summary>
    public int Port { get; init; }

    /// <summary>The number of threads with an epoll loop each, 1 to 256.</summary>
    public int WorkerCount { get; init; } = Environment.ProcessorCount;

    /// <summary>
    /// Connections that the kernel holds until they are accepted, see listen(2). net.core.somaxconn caps this number. If it is too small, a
    /// burst of clients waits for retransmissions of 1, 3, 7 s (pitfall 22).
    /// </summary>
    public int Backlog { get; init; } = 4096;

    /// <summary>Connections that may be open at a time; one more is reset. 0: as many as the process has descriptors for.</summary>
    public int MaxConnections { get; init; }

    /// <summary>
    /// Connections that one client address may have at a time; one more is reset. IPv6 addresses count by their first 64 bits, because a
    /// host chooses the other bits as it likes. Clients of a Unix domain socket have no address and no such limit. 0: no such limit.
    /// </summary>
    public int MaxConnectionsPerAddress { get; init; }

    /// <summary>Connections accepted per second; more wait in the kernel's queue. 0: no such limit.</summary>
    public int AcceptRate { get; init; }

    /// <summary>How new connections are dealt to the workers.</summary>
    public DispatchMode Dispatch { get; init; }

    /// <summary>
    /// How long a worker that has run out of events looks for more before it blocks. The worker answers sooner, at the price of a processor
    /// that is busy meanwhile. Zero: the worker blocks at once.
    /// </summary>
    public TimeSpan BusyPoll { get; init; }

    /// <summary>Whether a server on :: takes IPv4 connections, too, and shows their addresses as IPv4.</summary>
    public bool DualMode { get; init; }

    /// <summary>
    /// TCP keep-alive: the time without a sign of the peer after which the peer is probed, see tcp(7). In whole seconds, up to 32,767, as
    /// the kernel takes it. Zero: none.
    /// </summary>
    public TimeSpan KeepAliveTime { get; init; }

    /// <summary>
    /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged before the kernel gives the peer up. Zero: the kernel's default.
    /// </summary>
    public TimeSpan UserTimeout { get; init; }

    /// <summary>
    /// A connection on which nothing moves for this time is closed. It is not idle while a handler thread works on its messages, nor while
    /// its peer still takes an answer that the kernel holds. A peer that takes nothing of the answer is given up after twice this time.
    /// Zero: none.
    /// </summary>
    public TimeSpan IdleTimeout { get; init; }

    /// <summary>
    /// The time from a connection's beginning in which its first message must be complete. A message is a call of OnReceived, or a read
    /// request served. Zero: for ever.
    /// </summary>
    public TimeSpan HandshakeTimeout { get; init; }

    /// <summary>
    /// How long a message that has begun may take to be complete, if there is a <see cref="Framing"/> or a handler reads by requests. While
    /// reading is paused no time passes, and afterwards the time begins again. Zero: for ever.
    /// </summary>
    public TimeSpan MessageTimeout { get; init; }

    /// <summary>How long a closing connection waits for the peer's end after the peer has taken all output.</summary>
    public TimeSpan LingerTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A connection whose peer takes no output for this time is reset, at most a quarter of the time later. Zero: none.</summary>
    public TimeSpan WriteTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// In bytes. When more output than this is queued, the connection's reading is paused until half of this is left. Handler threads get
    /// no further message of the connection meanwhile.
    /// </summary>
    public int HighWaterMark { get; init; } = 64 * 1024;

    /// <summary>
    /// In bytes. A connection whose handler would queue more output than this is reset. Output that the socket takes at once is not queued
    /// and does not count, however long it is. A handler thread or another sender that would queue more causes no reset: see
    /// <see cref="Session.Send"/> and <see cref="SendOutcome.QueueFull"/>. What a handler thread answers to one message is not bounded.
    /// </summary>
    public int MaxSendQueue { get; init; } = 8 * 1024 * 1024;

    /// <summary>How received bytes are cut into messages. Each message is a call of <see cref="ConnectionHandler.OnReceived"/>.</summary>
    public Framing Framing { get; init; } = Framing.Raw;

    /// <summary>
    /// In bytes. The most that a read request may ask for, and that a message may have with a <see cref="Framing"/>. A longer message
    /// closes its connection with <see cref="CloseReason.MessageTooLong"/>.
    /// </summary>
    public int MaxMessage { get; init; } = 1024 * 1024;

    /// <summary>
    /// In bytes. The memory that unfinished input may take, for all connections of a worker together. The limit is at least some three
    /// times <see cref="MaxMessage"/>. Above it, the connections with the most unfinished input are not read for a moment, and then they
    /// are closed with <see cref="CloseReason.MessageTooLong"/>.
    /// </summary>
    public int MaxUnfinishedInput { get; init; } = 64 * 1024 * 1024;

    /// <summary>TCP_NODELAY: small answers go out at once, see tcp(7).</summary>
    public bool NoDelay { get; init; } = true;

    /// <summary>The log that gets the engine's events.</summary>
    public EventLog Log { get; init; } = new();

    /// <summary>A file, with its full path, to which the engine's events are appended, too. Null: none.</summary>
    public string? LogPath { get; init; }

    /// <summary>
    /// The scheduler of the messages that go to handler threads instead of a handler on the worker, see <see cref="UseSessions"/>.
    /// </summary>
    public SessionScheduler? Sessions { get; private init; }

    /// <summary>Called by a worker for each connection. It may return the same handler for all connections if the handler keeps no state.</summary>
    public required Func<ConnectionHandler> HandlerFactory { get; init; }

    /// <summary>Returns the same options for a server whose messages go to handler threads. A scheduler serves one server.</summary>
    public ServerOptions UseSessions(SessionScheduler sessions)
    {
        ArgumentNullException.ThrowIfNull(sessions);
        return this with { Sessions = sessions, HandlerFactory = sessions.HandlerFactory };
    }

    /// <exception cref="ArgumentException">An option is out of its range; ParamName is the option.</exception>
    public void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Name);
        ArgumentNullException.ThrowIfNull(HandlerFactory);
        ArgumentNullException.ThrowIfNull(Log);
        ArgumentNullException.ThrowIfNull(Framing);
        ArgumentNullException.ThrowIfNull(Addresses);
        ArgumentNullException.ThrowIfNull(Inherited);
        if (Addresses.Count == 0 && UnixPath is null && Inherited.Count == 0)
        {
            throw new ArgumentException("A server listens on one address at least.", nameof(Addresses));
        }

        foreach (IPAddress address in Addresses)
        {
            CheckAddress(address, nameof(Addresses));
        }

        if (UnixPath is { } path
            && (path.Length == 0 || path.Contains('\0') || System.Text.Encoding.UTF8.GetByteCount(path) > SockAddr.MaxPathLength))
        {
            throw new ArgumentException($"The path of a socket has 1 to {SockAddr.MaxPathLength} bytes, and none that is a zero.", nameof(UnixPath));
        }

        if (MaxConnectionsPerAddress > 0 && Addresses.Count == 0 && Inherited.Count == 0)
        {
            throw new ArgumentException(NoClientHasAnAddress, nameof(MaxConnectionsPerAddress));
        }

        if (LogPath is { } log && (log.Length == 0 || log.Contains('\0')))
        {
            throw new ArgumentException("The path of a log has one character at least, and none that is a zero.", nameof(LogPath));
        }

        if (Dispatch == DispatchMode.ReusePort && (UnixPath is not null || Inherited.Count > 0))
        {
            throw new ArgumentException("Only addresses of its own can be shared out by ReusePort.", nameof(Dispatch));
        }

        InRange(Port, 0, 65535, nameof(Port));
        InRange(WorkerCount, 1, 256, nameof(WorkerCount));
        InRange(Backlog, 1, int.MaxValue, nameof(Backlog));
        InRange(MaxConnections, 0, int.MaxValue, nameof(MaxConnections));
        InRange(MaxConnectionsPerAddress, 0, int.MaxValue, nameof(MaxConnectionsPerAddress));
        InRange(AcceptRate, 0, int.MaxValue, nameof(AcceptRate));
        InRange((int)Dispatch, 0, (int)DispatchMode.ReusePort, nameof(Dispatch));
        InRange(BusyPoll, TimeSpan.Zero, TimeSpan.FromSeconds(1), nameof(BusyPoll));
        InKernelsRange(KeepAliveTime, TimeSpan.FromSeconds(MaxKeepAliveSeconds), $"{MaxKeepAliveSeconds:N0} seconds", nameof(KeepAliveTime));
        InKernelsRange(UserTimeout, TimeSpan.FromMilliseconds(int.MaxValue), $"{int.MaxValue:N0} milliseconds", nameof(UserTimeout));
        InRange(HighWaterMark, 1, int.MaxValue, nameof(HighWaterMark));
        InRange(MaxSendQueue, HighWaterMark, int.MaxValue, nameof(MaxSendQueue));
        InRange(MaxMessage, 1, Array.MaxLength / 2, nameof(MaxMessage));
        InRange(MaxUnfinishedInput, 1, int.MaxValue, nameof(MaxUnfinishedInput));
        if (Framing.Kind == FramingKind.Fixed && Framing.Size > MaxMessage)
        {
            throw new ArgumentException($"Messages of {Framing.Size} bytes are longer than MaxMessage, {MaxMessage}.", nameof(MaxMessage));
        }

        InRange(IdleTimeout, TimeSpan.Zero, nameof(IdleTimeout));
        InRange(WriteTimeout, TimeSpan.Zero, nameof(WriteTimeout));
        InRange(HandshakeTimeout, TimeSpan.Zero, nameof(HandshakeTimeout));
        InRange(MessageTimeout, TimeSpan.Zero, nameof(MessageTimeout));

        // Without an end to lingering, a peer that never closes would be held for ever.
        InRange(LingerTimeout, TimeSpan.FromMilliseconds(1), nameof(LingerTimeout));
    }

    /// <summary>Refuses addresses that bind(2) would refuse with a bare EINVAL.</summary>
    private static void CheckAddress(IPAddress address, string name)
    {
        if (address.IsIPv6LinkLocal && address.ScopeId == 0)
        {
            throw new ArgumentException(
                $"{address} is link-local, and every interface has such addresses of its own. Name the interface: {address}%eth0 (ip link shows the interfaces).",
                name);
        }

        if (address.IsIPv4MappedToIPv6)
        {
            throw new ArgumentException(
                $"{address} is an IPv4 address that is written as IPv6. Give {address.MapToIPv4()}, or :: with DualMode for all addresses of both kinds.",
                name);
        }
    }

    // setsockopt(2) would return EINVAL, which says neither which option is wrong nor how much is too much (pitfall 60).
    private static void InKernelsRange(TimeSpan value, TimeSpan most, FormattableString longest, string name)
    {
        if (value < TimeSpan.Zero || value > most)
        {
            throw new ArgumentOutOfRangeException(
                name, value, $"{name} must be from 0 to {FormattableString.Invariant(longest)}, the longest that the kernel takes.");
        }
    }

    private static void InRange(int value, int least, int most, string name)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be from {least} to {most}.");
        }
    }

    /// <summary>The first option that a running server cannot take over from other options, or null if it can take over all of them.</summary>
    internal string? FirstFixedDifference(ServerOptions other) =>
        Name != other.Name ? nameof(Name)
        : !Addresses.SequenceEqual(other.Addresses) ? nameof(Addresses)
        : Port != other.Port ? nameof(Port)
        : UnixPath != other.UnixPath ? nameof(UnixPath)
        : UnixMode != other.UnixMode ? nameof(UnixMode)
        : !Inherited.SequenceEqual(other.Inherited) ? nameof(Inherited)
        : (Dispatch == DispatchMode.ReusePort) != (other.Dispatch == DispatchMode.ReusePort) ? nameof(Dispatch)
        : Backlog != other.Backlog ? nameof(Backlog)
        : DualMode != other.DualMode ? nameof(DualMode)
        : NoDelay != other.NoDelay ? nameof(NoDelay)
        : KeepAliveTime != other.KeepAliveTime ? nameof(KeepAliveTime)
        : UserTimeout != other.UserTimeout ? nameof(UserTimeout)
        : Framing != other.Framing ? nameof(Framing)
        : HandlerFactory != other.HandlerFactory ? nameof(HandlerFactory)
        : Log != other.Log ? nameof(Log)
        : LogPath != other.LogPath ? nameof(LogPath)
        : null;

    private static void InRange(TimeSpan value, TimeSpan least, string name) => InRange(value, least, TimeSpan.FromDays(365), name);

    private static void InRange(TimeSpan value, TimeSpan least, TimeSpan most, string name)
    {
        if (value < least || value > most)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be from {least} to {most}.");
        }
    }
}
