namespace C10kServer.Engine;

/// <summary>What a <see cref="SessionMessage"/> tells of.</summary>
public enum SessionEvent
{
    /// <summary>The connection is open. First of all, where the scheduler's owner wants it.</summary>
    Opened,

    /// <summary>A message has come.</summary>
    Received,

    /// <summary>The peer has finished sending. Consumers close in turn and never show it.</summary>
    PeerClosed,

    /// <summary>The connection is over. Last of all, where the scheduler's owner wants it.</summary>
    Closed,
}

/// <summary>
/// Something that happened on a connection, on its way to a handler thread. A link of its session's chain: the worker makes it,
/// the scheduler hands it over, then it is the consumer's.
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

    /// <summary>Received: what the <see cref="MessageDecoder"/> made of the bytes.</summary>
    public object? Data { get; }

    /// <summary>What it counts in the bound of the queue, in bytes.</summary>
    internal int Weight { get; }

    internal SessionMessage? Next { get; set; }
}

/// <summary>
/// Makes of a message's bytes what a handler thread is to get, or null for nothing. Called on the worker's thread; the span is
/// valid during the call.
/// </summary>
/// <param name="session">Whose message it is; <see cref="Session.DecoderState"/> is the decoder's own.</param>
/// <param name="data">The bytes.</param>
public delegate object? MessageDecoder(Session session, ReadOnlySpan<byte> data);
