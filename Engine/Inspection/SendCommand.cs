using System.Collections.Immutable;

namespace C10kServer.Engine;

/// <summary>What has become of bytes that were to be sent on a connection.</summary>
public enum SendOutcome
{
    /// <summary>There is no such connection any more.</summary>
    NotFound,

    /// <summary>It is closing: nothing was sent.</summary>
    Closing,

    /// <summary>They were sent or queued, unless the connection is closed now: its reason tells what went wrong.</summary>
    Taken,

    /// <summary>So much waits for the peer that they would exceed <see cref="ServerOptions.MaxSendQueue"/>: nothing was sent.</summary>
    QueueFull,
}

/// <summary>
/// Bytes for one connection, from outside. They are written once, whoever is asked: several workers are, while a connection is on the move,
/// and two of them may own it one after the other.
/// </summary>
internal sealed class SendCommand(ImmutableArray<byte> data)
{
    private int _opened;
    private volatile SendOutcome _outcome = SendOutcome.Closing;

    /// <summary>For when a worker has answered with a row.</summary>
    internal SendOutcome Outcome => _outcome;

    /// <summary>From the thread of the worker that owns the connection.</summary>
    internal void Deliver(Connection connection)
    {
        if (Interlocked.Exchange(ref _opened, 1) == 0)
        {
            _outcome = connection.TryWrite(data.AsSpan());
        }
    }
}
