using System.Net;

namespace C10kServer.Engine;

/// <summary>
/// The listening sockets of a server that ends, for the server that takes its place. The sockets stay open in between, so that the port
/// stays taken and clients that connect meanwhile wait in the kernel's queues. May be used from any thread.
/// </summary>
public sealed class SocketHandover : IDisposable
{
    private readonly Lock _lock = new();

    // Null after Dispose.
    private List<ListeningSocket>? _sockets = [];

    /// <summary>Closes the sockets that nobody has taken, and each socket that comes later.</summary>
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

    /// <summary>Adds sockets. Called on the thread that owned them.</summary>
    internal void Add(IEnumerable<ListeningSocket> sockets)
    {
        List<ListeningSocket> late = [];
        lock (_lock)
        {
            (_sockets ?? late).AddRange(sockets);
        }

        late.ForEach(static socket => socket.Dispose());
    }

    /// <summary>Takes a socket that is bound to the end point; null if there is none. The socket belongs to the caller from then on.</summary>
    internal ListeningSocket? Take(EndPoint endPoint)
    {
        lock (_lock)
        {
            ListeningSocket? found = _sockets?.Find(socket => socket.EndPoint.Equals(endPoint));
            _ = found is not null && _sockets!.Remove(found);
            return found;
        }
    }

    /// <summary>Takes the sockets that nobody has taken and whose queues may hold clients. They belong to the caller from then on.</summary>
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
