namespace C10kServer.Engine.Load;

/// <summary>A place for a connection, which is reused when connections come and go. Only the load's thread touches it.</summary>
internal sealed class LoadConnection(int index)
{
    internal enum Condition
    {
        /// <summary>The place has no connection.</summary>
        None,

        /// <summary>The connection is being made.</summary>
        Connecting,

        /// <summary>The connection is open.</summary>
        Open,
    }

    internal int Index { get; } = index;

    internal Condition State;

    internal int Fd = -1;

    /// <summary>Part of epoll's data word. It tells events for this connection from events for an earlier one in this place (pitfall 1).</summary>
    internal uint Generation;

    /// <summary>Epoll is asked to report OUT.</summary>
    internal bool WantsOut;

    /// <summary>The connection is in the list of connections that have something new to send.</summary>
    internal bool IsListed;

    /// <summary>
    /// When the connect was begun, or was due to begin, in nanoseconds. The value is kept while a full accept queue makes the connection try
    /// again.
    /// </summary>
    internal long Begun;

    /// <summary>When the connection last made progress: it got a byte of an answer, or a request while no other request was in flight.</summary>
    internal long LastProgress;

    /// <summary>How many requests do not have their whole answer yet.</summary>
    internal int InFlight;

    /// <summary>The index of the oldest request in flight among the moments of this connection's requests.</summary>
    internal int Oldest;

    /// <summary>Bytes of requests that are not sent yet.</summary>
    internal long ToSend;

    /// <summary>Bytes of answers that may come: bytes that were sent and have not come back.</summary>
    internal long ToReceive;

    /// <summary>Bytes of the oldest answer that have not come yet.</summary>
    internal long AnswerLeft;

    /// <summary>The place in the pattern of the next byte to send.</summary>
    internal int SendAt;

    /// <summary>The place in the pattern of the next byte to receive.</summary>
    internal int ReceiveAt;
}
