namespace C10kServer.Engine;

/// <summary>What a <see cref="SessionMessage"/> reports.</summary>
public enum SessionEvent
{
    /// <summary>The connection is open. The session's first message, if the scheduler's owner asked for it.</summary>
    Opened,

    /// <summary>The peer has sent a message.</summary>
    Received,

    /// <summary>The peer has finished sending. A consumer closes the session at this message and does not show the message to handlers.</summary>
    PeerClosed,

    /// <summary>The connection has ended. The session's last message, if the scheduler's owner asked for it.</summary>
    Closed,
}

/// <summary>
/// Something that happened on a connection, on its way to a handler thread. Each message is a link in its session's chain. The worker makes
/// the message, the scheduler passes it on, and from then on it belongs to the consumer.
/// </summary>
public sealed class SessionMessage
{
    internal SessionMessage(SessionEvent kind, object? data = null, int weight = 0)
    {
        Kind = kind;
        Data = data;
        Weight = weight;
    }

    /// <summary>What happened.</summary>
    public SessionEvent Kind { get; }

    /// <summary>For a Received message: the object that the <see cref="MessageDecoder"/> made of the bytes.</summary>
    public object? Data { get; }

    /// <summary>How much the message counts against the limit of the queue, in bytes.</summary>
    internal int Weight { get; }

    internal SessionMessage? Next { get; set; }
}

/// <summary>
/// Turns a message's bytes into the object that a handler thread gets, or into null if no handler thread is to get any. Called on the
/// worker's thread. The span is valid only during the call.
/// </summary>
/// <param name="session">The session of the message. Its <see cref="Session.DecoderState"/> belongs to the decoder.</param>
/// <param name="data">The bytes.</param>
public delegate object? MessageDecoder(Session session, ReadOnlySpan<byte> data);
