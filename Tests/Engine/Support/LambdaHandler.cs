namespace C10kServer.Engine.Tests.Support;

internal delegate void ReceivedAction(Connection connection, ReadOnlySpan<byte> data);

/// <summary>A handler made of lambdas, with a ledger of its calls.</summary>
internal sealed class LambdaHandler : ConnectionHandler
{
    private int _opened;
    private int _closed;

    internal Action<Connection>? Opened { get; init; }

    internal ReceivedAction? Received { get; init; }

    internal Action<Connection>? PeerClosed { get; init; }

    internal Action<Connection>? Drained { get; init; }

    internal Action<Connection>? Closed { get; init; }

    internal int OpenedCount => Volatile.Read(ref _opened);

    internal int ClosedCount => Volatile.Read(ref _closed);

    /// <summary>The reason of the connection that was closed last.</summary>
    internal CloseReason LastReason { get; private set; }

    public override void OnOpen(Connection connection)
    {
        Interlocked.Increment(ref _opened);
        Opened?.Invoke(connection);
    }

    public override void OnReceived(Connection connection, ReadOnlySpan<byte> data) => Received?.Invoke(connection, data);

    public override void OnPeerClosed(Connection connection)
    {
        if (PeerClosed is null)
        {
            base.OnPeerClosed(connection);
        }
        else
        {
            PeerClosed(connection);
        }
    }

    public override void OnDrained(Connection connection) => Drained?.Invoke(connection);

    public override void OnClosed(Connection connection)
    {
        LastReason = connection.CloseReason;
        try
        {
            Closed?.Invoke(connection);
        }
        finally
        {
            // Last: who waits for the count looks at what the action has left.
            Interlocked.Increment(ref _closed);
        }
    }
}
