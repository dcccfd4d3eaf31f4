using System.Collections.Immutable;

namespace C10kServer.Engine;

/// <summary>The result of an attempt to send bytes on a connection.</summary>
public enum SendOutcome
{
    /// <summary>The connection does not exist any more.</summary>
    NotFound,

    /// <summary>Nothing was sent, because the connection is closing.</summary>
    Closing,

    /// <summary>The bytes were sent or queued, unless the connection is closed now: then its close reason says what went wrong.</summary>
    Taken,

    /// <summary>Nothing was sent. So much waits for the peer that the bytes would exceed <see cref="ServerOptions.MaxSendQueue"/>.</summary>
    QueueFull,
}

/// <summary>
/// Bytes for one connection, from another thread than its worker's. They are written once, however many workers are asked. Several workers
/// are asked while a connection migrates, and two of them may own it one after the other.
/// </summary>
internal sealed class SendCommand(ImmutableArray<byte> data)
{
    private int _opened;
    private volatile SendOutcome _outcome = SendOutcome.Closing;

    /// <summary>The result. Valid once a worker has answered with a row.</summary>
    internal SendOutcome Outcome => _outcome;

    /// <summary>From the thread of the worker that owns the connection: writes the bytes, unless they have been written already.</summary>
    internal void Deliver(Connection connection)
    {
        if (Interlocked.Exchange(ref _opened, 1) == 0)
        {
            _outcome = connection.TryWrite(data.AsSpan());
        }
    }
}
