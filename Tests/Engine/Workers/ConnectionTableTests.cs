using System.Runtime.CompilerServices;

namespace C10kServer.Engine.Tests;

public class ConnectionTableTests
{
    private readonly ConnectionTable _table = new();

    [Fact]
    public void An_event_for_an_earlier_owner_of_a_slot_finds_nobody()
    {
        Connection first = New();
        ulong stale = ConnectionTable.Token(first);
        Assert.True(_table.TryGet(stale, out Connection? found));
        Assert.Same(first, found);
        _table.Remove(first);
        Assert.False(_table.TryGet(stale, out _));

        Connection second = New();
        Assert.Equal(first.Slot, second.Slot);
        Assert.False(_table.TryGet(stale, out _));
        Assert.True(_table.TryGet(ConnectionTable.Token(second), out found));
        Assert.Same(second, found);
    }

    [Fact]
    public void Words_that_are_no_token_find_nobody()
    {
        New();
        Assert.False(_table.TryGet(ulong.MaxValue, out _));
        Assert.False(_table.TryGet(0, out _));
        Assert.False(_table.TryGet(1UL << 32 | 4711, out _));
    }

    [Fact]
    public void It_grows_and_reuses_its_slots()
    {
        List<Connection> connections = [.. Enumerable.Range(0, 10_000).Select(_ => New())];
        Assert.Equal(10_000, _table.Count);
        Assert.Equal(10_000, connections.Select(static c => c.Slot).Distinct().Count());
        connections.ForEach(_table.Remove);
        Assert.Equal(0, _table.Count);
        List<Connection> again = [.. Enumerable.Range(0, 10_000).Select(_ => New())];
        Assert.Equal(10_000, _table.Capacity);
        Assert.All(again, c => Assert.Same(c, _table.At(c.Slot)));
    }

    // Only its slot and generation matter here, so that it needs no worker.
    private Connection New()
    {
        var connection = (Connection)RuntimeHelpers.GetUninitializedObject(typeof(Connection));
        _table.Add(connection);
        return connection;
    }
}
