namespace C10kServer.Engine;

/// <summary>Which connections a walk gives rows of; what is null does not restrict. Applied by the workers, before a row is made.</summary>
public sealed class ConnectionQuery
{
    /// <summary>All connections.</summary>
    public static ConnectionQuery All { get; } = new();

    /// <summary>Those with these ids.</summary>
    public IReadOnlyCollection<long>? Ids { get; init; }

    /// <summary>Those of these workers; the others are not even asked.</summary>
    public IReadOnlyCollection<int>? Workers { get; init; }

    /// <summary>Those in these states.</summary>
    public IReadOnlyCollection<ConnectionState>? States { get; init; }

    /// <summary>Those on which nothing was received or sent for so long.</summary>
    public TimeSpan MinimumIdle { get; init; }

    /// <summary>Those that were accepted so long ago.</summary>
    public TimeSpan MinimumAge { get; init; }

    /// <summary>Rows get <see cref="ConnectionInfo.Tcp"/> too: a system call each.</summary>
    public bool WithTcp { get; init; }

    internal bool Accepts(Connection connection) =>
        (Ids is null || Ids.Contains(connection.Id))
        && (States is null || States.Contains(connection.State))
        && (MinimumIdle == TimeSpan.Zero || connection.IdleTime >= MinimumIdle)
        && (MinimumAge == TimeSpan.Zero || connection.Age >= MinimumAge);
}
