namespace C10kServer.Soak.Tests.Support;

/// <summary>What the server has counted between two answers of its own.</summary>
internal sealed class Change(Answer before, Answer after)
{
    internal long this[string key] => after[key] - before[key];

    /// <summary>
    /// Every connection that a client made came out of accept: a client that is connected is in the queue, and what is in
    /// the queue when descriptors run out stays there.
    /// </summary>
    /// <param name="clients">What the clients have counted.</param>
    /// <param name="others">The connections that others made.</param>
    internal void AssertConnections(Answer clients, int others = 0)
    {
        Assert.Equal(0, clients["failed"]);
        Assert.Equal(clients["connected"] + others, this["accepted"] + this["rejected"]);
        Assert.Equal(this["accepted"], this["closed"]);
    }

    /// <summary>For clients that wait for all that they are owed, and read to the end: nothing can be lost on the way.</summary>
    internal void AssertBytesEqual(Answer clients)
    {
        Assert.Equal(clients["sent"], this["received"]);
        Assert.Equal(clients["received"], this["sent"]);
        Assert.Equal(clients["sent"], clients["received"]);
    }

    /// <summary>Where some reset: a kernel drops what it had taken from either side, and adds nothing.</summary>
    internal void AssertBytesBounded(Answer clients)
    {
        Assert.InRange(this["received"], 1, clients["sent"]);
        Assert.InRange(clients["received"], 1, this["sent"]);
        Assert.InRange(this["sent"], 1, this["received"]);
    }
}
