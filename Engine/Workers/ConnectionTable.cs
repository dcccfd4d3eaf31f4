using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace C10kServer.Engine;

/// <summary>
/// A worker's connections by slot. A slot is used again. The generation beside it in epoll's data word is not used again, so an event that
/// was meant for an earlier owner of the slot finds no connection (pitfall 1). Belongs to its worker's thread; <see cref="Count"/> may be
/// read from any thread.
/// </summary>
internal sealed class ConnectionTable
{
    /// <summary>The slot of a connection that could get none, because there was no memory.</summary>
    internal const int NoSlot = -1;

    private Connection?[] _slots = new Connection?[64];
    private int[] _free = new int[64];
    private int _freeCount;
    private int _used;
    private uint _generation;
    private int _count;

    internal int Count => Volatile.Read(ref _count);

    /// <summary>The number of slots ever used. All connections are below this.</summary>
    internal int Capacity => _used;

    /// <summary>Gives the connection a slot and a generation of its own.</summary>
    /// <exception cref="OutOfMemoryException">Nothing has changed.</exception>
    internal void Add(Connection connection)
    {
        if (_freeCount > 0)
        {
            connection.Slot = _free[--_freeCount];
        }
        else if (_count < _used)
        {
            // The list of free slots could not grow, and has lost some slots.
            connection.Slot = Array.IndexOf(_slots, null, 0, _used);
        }
        else
        {
            if (_used == _slots.Length)
            {
                Array.Resize(ref _slots, _used * 2);
            }

            connection.Slot = _used++;
        }

        connection.Generation = ++_generation;
        _slots[connection.Slot] = connection;
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>Takes the connection out. Does not fail for lack of memory.</summary>
    internal void Remove(Connection connection)
    {
        if (connection.Slot == NoSlot)
        {
            return;
        }

        _slots[connection.Slot] = null;
        if (_freeCount < _free.Length || HasGrown())
        {
            _free[_freeCount++] = connection.Slot;
        }

        Volatile.Write(ref _count, _count - 1);
    }

    // The list grows with the connections that end and not with the table, because most tables never see all of their connections end.
    private bool HasGrown()
    {
        try
        {
            Array.Resize(ref _free, _freeCount * 2);
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
    }

    /// <summary>The data word that epoll is given for a connection.</summary>
    internal static ulong Token(Connection connection) => (ulong)connection.Generation << 32 | (uint)connection.Slot;

    /// <summary>Finds the connection that an event is for. Finds none if that connection is gone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryGet(ulong token, [NotNullWhen(true)] out Connection? connection)
    {
        uint slot = (uint)token;
        Connection?[] slots = _slots;
        connection = slot < (uint)slots.Length ? slots[slot] : null;
        return connection is not null && connection.Generation == (uint)(token >> 32);
    }

    /// <summary>The connection in a slot, or null.</summary>
    internal Connection? At(int slot) => (uint)slot < (uint)_used ? _slots[slot] : null;

    /// <summary>Finds a connection by its id, first in the slot where it was last seen, then in all slots.</summary>
    internal Connection? Find(long id, int slotHint)
    {
        if (At(slotHint) is { } hinted && hinted.Id == id)
        {
            return hinted;
        }

        foreach (Connection? connection in _slots.AsSpan(0, _used))
        {
            if (connection is not null && connection.Id == id)
            {
                return connection;
            }
        }

        return null;
    }
}
