using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// Counts the connections of each peer's network, if their number is limited. A network is an IPv4 address, or the /64 of an IPv6 address.
/// An acceptor takes and the workers give back, under a lock. A connection takes the lock twice in its life, and only if the limit is set.
/// </summary>
internal sealed class AddressLimiter
{
    private readonly Dictionary<SockAddr, int> _counts = [];
    private readonly Lock _lock = new();

    /// <summary>Counts one more connection. Returns false when the peer's network has as many connections as it may have.</summary>
    internal bool TryTake(in SockAddr remote, int limit)
    {
        SockAddr network = remote.Network();
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(network);
            if (count >= limit)
            {
                return false;
            }

            _counts[network] = count + 1;
            return true;
        }
    }

    /// <summary>Gives back what <see cref="TryTake"/> took for a connection.</summary>
    internal void Release(in SockAddr remote)
    {
        SockAddr network = remote.Network();
        lock (_lock)
        {
            // A network without connections leaves no trace, because a scan of the whole Internet must not fill the memory.
            if (--_counts[network] == 0)
            {
                _counts.Remove(network);
            }
        }
    }
}
