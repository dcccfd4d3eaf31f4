namespace C10kServer.Engine;

/// <summary>
/// What a worker or the AcceptLoop has counted. The counters are written by their own thread alone, with plain adds. Any thread may read
/// them, because a 64-bit read is never torn on the 64-bit machines that this runs on. The padding keeps the counters of two workers off
/// one cache line.
/// </summary>
internal sealed class Counters
{
    internal long Accepted;
    internal long Rejected;
    internal long AcceptErrors;
    internal long Closed;
    internal long BytesReceived;
    internal long BytesSent;
    internal long MessagesReceived;
    internal long HandlerErrors;
    internal long Wakeups;
    internal long Events;
    internal long Stalls;

    /// <summary>Adds the counters of a worker whose thread has ended. Called for the sums, before they are shown to other threads.</summary>
    internal void Add(Counters ended)
    {
        Accepted += ended.Accepted;
        Rejected += ended.Rejected;
        AcceptErrors += ended.AcceptErrors;
        Closed += ended.Closed;
        BytesReceived += ended.BytesReceived;
        BytesSent += ended.BytesSent;
        MessagesReceived += ended.MessagesReceived;
        HandlerErrors += ended.HandlerErrors;
        Wakeups += ended.Wakeups;
        Events += ended.Events;
        Stalls += ended.Stalls;
    }

#pragma warning disable CS0169, IDE0051, CA1823 // never read: it is there to take up room
    private readonly Padding _padding;
#pragma warning restore CS0169, IDE0051, CA1823

    [System.Runtime.CompilerServices.InlineArray(16)]
    private struct Padding
    {
#pragma warning disable IDE0044, IDE0051, CS0169
        private long _first;
#pragma warning restore IDE0044, IDE0051, CS0169
    }
}
