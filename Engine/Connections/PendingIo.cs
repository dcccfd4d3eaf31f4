namespace C10kServer.Engine;

/// <summary>
/// What a connection waits for, and an idle one does not: output that the socket has not taken, input that no message has, requests. One object,
/// made with the first of these, so that each of ten thousand idle connections pays a reference and no more (pitfall 43). Belongs to the
/// connection's worker's thread.
/// </summary>
internal sealed class PendingIo
{
    internal SendQueue? Output { get; set; }

    internal InputBuffer? Input { get; set; }

    internal RequestQueue? Requests { get; set; }

    /// <summary>When the peer was last seen to take output; while lingering, when it was first seen to have taken all.</summary>
    internal long LastProgress { get; set; }

    /// <summary>Bytes that the peer had not acknowledged when that was last looked at.</summary>
    internal int Unsent { get; set; }

    /// <summary>When the connection was last seen not to be idle although no bytes moved; milliseconds on the engine's clock.</summary>
    internal long LastStir { get; set; }
}
