using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// The listening sockets of a server that ends, for the server that takes its place: they stay open in between, so that the port stays
/// taken and the clients who connect meanwhile wait in the kernel's queues. From any thread.
/// </summary>
public sealed class SocketHandover : IDisposable
{
    private readonly Lock _lock = new();

    // Null once it is disposed of.
    private List<ListeningSocket>? _sockets = [];

    /// <summary>Closes the sockets that nobody has taken, and each one that comes later.</summary>
    public void Dispose()
    {
        List<ListeningSocket> left;
        lock (_lock)
        {
            left = _sockets ?? [];
            _sockets = null;
        }

        left.ForEach(static socket => socket.Dispose());
    }

    /// <summary>From the thread whose the sockets were.</summary>
    internal void Add(IEnumerable<ListeningSocket> sockets)
    {
        List<ListeningSocket> late = [];
        lock (_lock)
        {
            (_sockets ?? late).AddRange(sockets);
        }

        late.ForEach(static socket => socket.Dispose());
    }

    /// <summary>A socket that is bound there, which is the caller's from then on; null where there is none.</summary>
    internal ListeningSocket? Take(EndPoint endPoint)
    {
        lock (_lock)
        {
            ListeningSocket? found = _sockets?.Find(socket => socket.EndPoint.Equals(endPoint));
            _ = found is not null && _sockets!.Remove(found);
            return found;
        }
    }

    /// <summary>The sockets that nobody has taken and whose queues may hold clients, which are the caller's from then on.</summary>
    internal ListeningSocket[] TakeListening()
    {
        lock (_lock)
        {
            ListeningSocket[] listening = [.. (_sockets ?? []).Where(static socket => !socket.IsReserved)];
            _sockets?.RemoveAll(static socket => !socket.IsReserved);
            return listening;
        }
    }
}
