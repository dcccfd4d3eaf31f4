namespace C10kServer.Engine.Load;

/// <summary>One of the places for a connection: it is used again where connections come and go. The load's thread alone touches it.</summary>
internal sealed class LoadConnection(int index)
{
    internal enum Condition
    {
        /// <summary>There is no connection.</summary>
        None,

        /// <summary>It is being made.</summary>
        Connecting,

        /// <summary>It is open.</summary>
        Open,
    }

    internal int Index { get; } = index;

    internal Condition State;

    internal int Fd = -1;

    /// <summary>In epoll's data word: tells an event for an earlier connection in this place (pitfall 1).</summary>
    internal uint Generation;

    /// <summary>OUT is among what epoll reports.</summary>
    internal bool WantsOut;

    /// <summary>Is in the list of those with something new to send.</summary>
    internal bool IsListed;

    /// <summary>When it was begun, or was due to be, in nanoseconds. Kept while a full accept queue makes it try again.</summary>
    internal long Begun;

    /// <summary>When it last came on: a byte of an answer, or a request after none was open.</summary>
    internal long LastProgress;

    /// <summary>Requests without their whole answer.</summary>
    internal int InFlight;

    /// <summary>Among the moments of requests, the place of the oldest one in flight.</summary>
    internal int Oldest;

    /// <summary>Bytes of requests that are not sent yet.</summary>
    internal long ToSend;

    /// <summary>Bytes of answers that may come: what was sent and is not back.</summary>
    internal long ToReceive;

    /// <summary>Bytes that the oldest answer lacks.</summary>
    internal long AnswerLeft;

    /// <summary>The place of the next byte to send in the pattern.</summary>
    internal int SendAt;

    /// <summary>The place of the next byte to come.</summary>
    internal int ReceiveAt;
}
