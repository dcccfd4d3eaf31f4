namespace C10kServer;

/// <summary>The activity of a server in an interval: the growth of its counters, per second.</summary>
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

    // This is not public, because an export of a sample would export its whole server, too.
    internal Server Server { get; }

    /// <summary>When the interval ended, in local time.</summary>
    public DateTimeOffset Time { get; }

    /// <summary>The real length of the interval.</summary>
    public TimeSpan Interval { get; }

    /// <summary>The Id of the server.</summary>
    public int ServerId => Server.Id;

    /// <summary>The name of the server.</summary>
    public string ServerName => Server.Name;

    /// <summary>The number of connections at the end of the interval.</summary>
    public int ConnectionCount { get; }

    /// <summary>The connections accepted per second.</summary>
    public double Accepts { get; }

    /// <summary>The connections that ended per second.</summary>
    public double Closes { get; }

    /// <summary>The messages received per second.</summary>
    public double MessagesReceived { get; }

    /// <summary>The bytes received per second.</summary>
    public double BytesReceived { get; }

    /// <summary>The bytes sent per second.</summary>
    public double BytesSent { get; }

    /// <summary>A short text for the sample.</summary>
    /// <returns>For instance "C10k1 12:00:07 100 connections".</returns>
    public override string ToString() => FormattableString.Invariant($"{ServerName} {Time:HH:mm:ss} {ConnectionCount} connections");
}
