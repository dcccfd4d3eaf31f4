namespace C10kServer.Engine;

/// <summary>
/// The connections of which a walk gives rows. A property that is null does not restrict the query. The workers apply the query before they
/// make a row.
/// </summary>
public sealed class ConnectionQuery
{
    /// <summary>All connections.</summary>
    public static ConnectionQuery All { get; } = new();

    /// <summary>Only connections with these ids.</summary>
    public IReadOnlyCollection<long>? Ids { get; init; }

    /// <summary>Only connections of these workers. The other workers are not even asked.</summary>
    public IReadOnlyCollection<int>? Workers { get; init; }

    /// <summary>Only connections in these states.</summary>
    public IReadOnlyCollection<ConnectionState>? States { get; init; }

    /// <summary>Only connections on which nothing was received or sent for at least this time.</summary>
    public TimeSpan MinimumIdle { get; init; }

    /// <summary>Only connections that were accepted at least this time ago.</summary>
    public TimeSpan MinimumAge { get; init; }

    /// <summary>Rows also get <see cref="ConnectionInfo.Tcp"/>, which costs a system call for each row.</summary>
    public bool WithTcp { get; init; }

    internal bool Accepts(Connection connection) =>
        (Ids is null || Ids.Contains(connection.Id))
        && (States is null || States.Contains(connection.State))
        && (MinimumIdle == TimeSpan.Zero || connection.IdleTime >= MinimumIdle)
        && (MinimumAge == TimeSpan.Zero || connection.Age >= MinimumAge);
}
