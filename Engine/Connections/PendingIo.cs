namespace C10kServer.Engine;

/// <summary>
/// What a connection waits for: output that the socket has not taken, input that belongs to no message yet, and requests. An idle
/// connection waits for none of these. The object is made with the first of them, so that each of ten thousand idle connections pays for
/// one reference and no more (pitfall 43). Belongs to the thread of the connection's worker.
/// </summary>
internal sealed class PendingIo
{
    internal SendQueue? Output { get; set; }

    internal InputBuffer? Input { get; set; }

    internal RequestQueue? Requests { get; set; }

    /// <summary>When the peer was last seen to take output. While lingering, when the peer was first seen to have taken all of it.</summary>
    internal long LastProgress { get; set; }

    /// <summary>Bytes that the peer had not acknowledged at the last check.</summary>
    internal int Unsent { get; set; }

    /// <summary>When the connection was last seen not to be idle although no bytes moved; milliseconds on the engine's clock.</summary>
    internal long LastStir { get; set; }
}
