namespace C10kServer;

/// <summary>What a server did in an interval: its counters' growth, a second.</summary>
public sealed class Sample
{
    internal Sample(Server server, in CounterReading before, in CounterReading after)
    {
        TimeSpan interval = after.Since(before);
        double seconds = interval.TotalSeconds;
        Time = DateTimeOffset.Now;
        Interval = interval;
        Server = server;
        ConnectionCount = after.ConnectionCount;
        Accepts = (after.Accepted - before.Accepted) / seconds;
        Closes = (after.Closed - before.Closed) / seconds;
        MessagesReceived = (after.MessagesReceived - before.MessagesReceived) / seconds;
        BytesReceived = (after.BytesReceived - before.BytesReceived) / seconds;
        BytesSent = (after.BytesSent - before.BytesSent) / seconds;
    }

    // Not public: a sample that is exported would take its whole server along.
    internal Server Server { get; }

    /// <summary>When the interval ended, in local time.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>How long it really was.</summary>
    public TimeSpan Interval { get; }

    /// <summary>The Id of the server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The connections at its end.</summary>
    public int ConnectionCount { get; }

    /// <summary>The connections accepted a second.</summary>
    public double Accepts { get; }

    /// <summary>The connections that ended a second.</summary>
    public double Closes { get; }

    /// <summary>The messages received a second.</summary>
    public double MessagesReceived { get; }

    /// <summary>The bytes received a second.</summary>
    public double BytesReceived { get; }

    /// <summary>The bytes sent a second.</summary>
    public double BytesSent { get; }

    /// <summary>The sample in short.</summary>
    /// <returns>For instance "C10k1 12:00:07 100 connections".</returns>
    public override string ToString() => FormattableString.Invariant($"{ServerName} {Time:HH:mm:ss} {ConnectionCount} connections");
}
