using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>
/// How many connections each peer's address has, where that is limited. Taken by the acceptor and given back by the workers, so under
/// a lock: it is touched twice in a connection's life, and only where the limit is set.
/// </summary>
internal sealed class AddressLimiter
{
    private readonly Dictionary<SockAddr, int> _counts = [];
    private readonly Lock _lock = new();

    /// <summary>Counts one more. False when the address has as many as it may.</summary>
    internal bool TryTake(in SockAddr remote, int limit)
    {
        SockAddr address = remote.WithoutPort();
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(address);
            if (count >= limit)
            {
                return false;
            }

            _counts[address] = count + 1;
            return true;
        }
    }

    internal void Release(in SockAddr remote)
    {
        SockAddr address = remote.WithoutPort();
        lock (_lock)
        {
            // An address without connections leaves no trace: a scan of the whole network must not fill the memory.
            if (--_counts[address] == 0)
            {
                _counts.Remove(address);
            }
        }
    }
}
