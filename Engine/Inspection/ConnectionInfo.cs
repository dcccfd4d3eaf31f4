using System.Net;

namespace C10kServer.Engine;

/// <summary>What a connection was like at one moment, as its worker saw it. Immutable.</summary>
public sealed record ConnectionInfo
{
    /// <summary>Unique in the process, and never used again.</summary>
    public required long Id { get; init; }

    /// <summary>The worker that owns it.</summary>
    public required int Worker { get; init; }

    /// <summary>Where the worker keeps it: a hint for <see cref="ConnectionRef"/>.</summary>
    public required int Slot { get; init; }

    /// <summary>Where it is in its life.</summary>
    public required ConnectionState State { get; init; }

    /// <summary>Why closing has begun, or <see cref="CloseReason.None"/>.</summary>
    public required CloseReason CloseReason { get; init; }

    /// <summary>The peer's address.</summary>
    public required EndPoint RemoteEndPoint { get; init; }

    /// <summary>This end's address.</summary>
    public required EndPoint LocalEndPoint { get; init; }

    /// <summary>What the wall clock said when a worker took it over.</summary>
    public required DateTimeOffset StartTime { get; init; }

    /// <summary>What the wall clock said when it was closed; none before.</summary>
    public DateTimeOffset? EndTime { get; init; }

    /// <summary>
    /// Time since a worker took it over, or between that and its end: not the difference of the two times, between which the wall clock may have been
    /// set.
    /// </summary>
    public required TimeSpan Age { get; init; }

    /// <summary>Time since bytes were last received or sent.</summary>
    public required TimeSpan IdleTime { get; init; }

    /// <summary>Bytes received.</summary>
    public required long BytesReceived { get; init; }

    /// <summary>Bytes that the socket has taken.</summary>
    public required long BytesSent { get; init; }

    /// <summary>Calls of OnReceived, or read requests served.</summary>
    public required long MessagesReceived { get; init; }

    /// <summary>Bytes written that the socket has not taken yet.</summary>
    public required long SendQueue { get; init; }

    /// <summary>Reading is paused, by the handler, by an administrator or by backpressure.</summary>
    public required bool ReadPaused { get; init; }

    /// <summary>The handler's own state, as <see cref="Connection.Tag"/> has it.</summary>
    public object? Tag { get; init; }

    /// <summary>What the kernel knows of it, where that was asked for.</summary>
    public TcpDetails? Tcp { get; init; }
}
