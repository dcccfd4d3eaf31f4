using System.Runtime.InteropServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// The admission ticket of a server's connections: a place among the connections that may be open at a time, and a count of the peer's
/// address if that is limited. An acceptor takes the ticket before it counts the connection. <see cref="Leave"/> is the only place that
/// gives the ticket back, after the connection's end is counted and its descriptor is closed. May be used from any thread.
/// </summary>
internal sealed class Admission
{
    private readonly AddressLimiter _addresses = new();
    private Places _places;

    /// <summary>The number of connections that have a place.</summary>
    internal int Open => Volatile.Read(ref _places.Open);

    /// <summary>The most connections that had a place at a time.</summary>
    internal int Peak => Volatile.Read(ref _places.Peak);

    /// <summary>Takes a ticket. Returns false when a limit is reached; nothing is taken then.</summary>
    /// <param name="remote">The peer's address.</param>
    /// <param name="limit">The number of places.</param>
    /// <param name="perAddress">The connections that an address may have, or 0 for any number.</param>
    /// <param name="reached">The limit that is reached.</param>
    internal bool TryEnter(in SockAddr remote, int limit, int perAddress, out int reached)
    {
        // The address comes first, because a place that was taken and given back would show in the count and could turn away another
        // client.
        if (perAddress > 0 && !_addresses.TryTake(remote, perAddress))
        {
            reached = perAddress;
            return false;
        }

        for (int open = Open; open < limit;)
        {
            // The count is compared and not just incremented, because an increment beyond the limit would turn away clients until it is
            // taken back.
            int before = Interlocked.CompareExchange(ref _places.Open, open + 1, open);
            if (before == open)
            {
                RaisePeak(open + 1);
                reached = 0;
                return true;
            }

            open = before;
        }

        if (perAddress > 0)
        {
            _addresses.Release(remote);
        }

        reached = limit;
        return false;
    }

    /// <summary>Gives a ticket back.</summary>
    /// <param name="remote">The peer's address.</param>
    /// <param name="countedByAddress">Whether the address was counted when the ticket was taken.</param>
    internal void Leave(in SockAddr remote, bool countedByAddress)
    {
        if (countedByAddress)
        {
            _addresses.Release(remote);
        }

        // The decrement is a full fence: a thread that sees the place free also sees the connection counted as closed.
        Interlocked.Decrement(ref _places.Open);
    }

    private void RaisePeak(int open)
    {
        for (int peak = Peak; open > peak;)
        {
            int before = Interlocked.CompareExchange(ref _places.Peak, open, peak);
            if (before == peak)
            {
                return;
            }

            peak = before;
        }
    }

    // The fields have cache lines of their own, because each accept and each close writes here, and data that is read at each event must
    // not share the line.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Places
    {
        [FieldOffset(128)]
        internal int Open;

        [FieldOffset(132)]
        internal int Peak;
    }
}
