using System.Collections.Concurrent;

namespace C10kServer.Faults.Tests;

/// <summary>Echoes, and keeps count of what its connections' ends were.</summary>
internal sealed class CountingEcho : ConnectionHandler
{
    private readonly ConcurrentDictionary<CloseReason, int> _ends = new();
    private int _opened;

    internal int Opened => Volatile.Read(ref _opened);

    internal int Closed => _ends.Values.Sum();

    internal IReadOnlyDictionary<CloseReason, int> Ends => _ends;

    internal int EndsWith(CloseReason reason) => _ends.GetValueOrDefault(reason);

    public override void OnOpen(Connection connection) => Interlocked.Increment(ref _opened);

    public override void OnReceived(Connection connection, ReadOnlySpan<byte> data) => connection.Write(data);

    public override void OnClosed(Connection connection) => _ends.AddOrUpdate(connection.CloseReason, 1, static (_, n) => n + 1);
}
