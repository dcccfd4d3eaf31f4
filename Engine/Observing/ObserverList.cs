using System.Runtime.CompilerServices;

namespace C10kServer.Engine;

/// <summary>
/// The observers of a server. Any thread may add and remove them; the engine's threads tell them of events. While there are none, an opened
/// or closed connection costs one read of a field.
/// </summary>
internal sealed class ObserverList(Server server)
{
    private readonly Lock _lock = new();

    // Replaced as a whole; null while there are no observers.
    private volatile Observer[]? _all;
    private bool _over;

    /// <summary>Adds an observer. False when the server has ended.</summary>
    internal bool Add(Observer observer)
    {
        lock (_lock)
        {
            if (!_over)
            {
                _all = [.. _all ?? [], observer];
            }

            return !_over;
        }
    }

    internal void Remove(Observer observer)
    {
        lock (_lock)
        {
            Observer[] left = [.. (_all ?? []).Where(other => other != observer)];
            _all = left.Length == 0 ? null : left;
        }
    }

    /// <summary>From the worker's thread, before the handler is told.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void OnOpened(Connection connection)
    {
        if (_all is { } all)
        {
            Tell(all, ServerEventKind.ConnectionOpened, connection.ToRecord());
        }
    }

    /// <summary>From the worker's thread, when the connection is counted as closed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void OnClosed(in ClosedRing.Record connection)
    {
        if (_all is { } all)
        {
            Tell(all, ServerEventKind.ConnectionClosed, connection);
        }
    }

    internal void OnStateChanged(ServerState before)
    {
        if (_all is { } all)
        {
            Tell(all, ServerEventKind.StateChanged, default, before);
        }
    }

    /// <summary>The server has ended: tells the present observers of it. No observer can be added afterwards.</summary>
    internal void End()
    {
        Observer[]? all;
        lock (_lock)
        {
            _over = true;
            all = _all;
            _all = null;
        }

        if (all is not null)
        {
            Tell(all, ServerEventKind.Ended, default);
            foreach (Observer observer in all)
            {
                observer.Forget(server);
            }
        }
    }

    private void Tell(Observer[] all, ServerEventKind kind, in ClosedRing.Record connection, ServerState? before = null)
    {
        ServerState state = server.State;
        var entry = new Observer.Entry(server, kind, connection, before ?? state, state);
        foreach (Observer observer in all)
        {
            observer.Tell(entry);
        }
    }
}
