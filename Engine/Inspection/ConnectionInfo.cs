using System.Net;

namespace C10kServer.Engine;

/// <summary>The state of a connection at one moment, as its worker saw it. Immutable.</summary>
public sealed record ConnectionInfo
{
    /// <summary>The connection's id, which is unique in the process and never reused.</summary>
    public required long Id { get; init; }

    /// <summary>The id of the worker that owns the connection.</summary>
    public required int Worker { get; init; }

    /// <summary>The slot in which the worker keeps it: a hint for <see cref="ConnectionRef"/>.</summary>
    public required int Slot { get; init; }

    /// <summary>The connection's state.</summary>
    public required ConnectionState State { get; init; }

    /// <summary>Why closing has begun, or <see cref="CloseReason.None"/>.</summary>
    public required CloseReason CloseReason { get; init; }

    /// <summary>The peer's address.</summary>
    public required EndPoint RemoteEndPoint { get; init; }

    /// <summary>This end's address.</summary>
    public required EndPoint LocalEndPoint { get; init; }

    /// <summary>The wall-clock time at which a worker took the connection over.</summary>
    public required DateTimeOffset StartTime { get; init; }

    /// <summary>The wall-clock time at which the connection was closed. Null while it is not closed.</summary>
    public DateTimeOffset? EndTime { get; init; }

    /// <summary>
    /// The time since a worker took the connection over, or for a closed connection the time from then to its end. This is not the difference of
    /// <see cref="StartTime"/> and <see cref="EndTime"/>, because the wall clock may have been set between the two.
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

    /// <summary>Reading is paused: see <see cref="Connection.ReadPaused"/>.</summary>
    public required bool ReadPaused { get; init; }

    /// <summary>The handler's own state, from <see cref="Connection.Tag"/>.</summary>
    public object? Tag { get; init; }

    /// <summary>The kernel's details of the connection, if the caller asked for them; else null.</summary>
    public TcpDetails? Tcp { get; init; }
}
