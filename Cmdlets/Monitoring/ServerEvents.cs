using System.Runtime.CompilerServices;

namespace C10kServer;

/// <summary>
/// The subscribers to a server's events, and the observers that watch the server. The engine notifies them. This class turns a notification
/// about the engine's server into one about the module's server.
/// </summary>
internal sealed class ServerEvents(Server server)
{
    // The server that each engine belongs to, for observers that watch several servers. An entry lives as long as its engine.
    private static readonly ConditionalWeakTable<Engine.Server, Server> Owners = [];

    private readonly Lock _gate = new();
    private readonly List<Subscription> _subscriptions = [];
    private readonly List<Engine.Observer> _watchers = [];
    private Engine.Server? _engine;

    /// <summary>The server that an engine belongs to.</summary>
    internal static Server OwnerOf(Engine.Server engine) =>
        Owners.TryGetValue(engine, out Server? owner) ? owner : throw new InvalidOperationException("This engine has no owner.");

    /// <summary>Follows another engine from now on. Existing subscribers and observers stay subscribed.</summary>
    internal void Follow(Engine.Server engine)
    {
        lock (_gate)
        {
            Owners.Add(engine, server);
            _engine = engine;
            _subscriptions.ForEach(subscription => engine.Subscribe(subscription.Tell));
            _watchers.ForEach(watcher => watcher.Observe(engine));
        }
    }

    internal void Add(Engine.ServerEventKind kind, EventHandler<ConnectionEventArgs>? handler)
    {
        foreach (EventHandler<ConnectionEventArgs> each in Each(handler))
        {
            Add(each, kind, happened => each(server, new ConnectionEventArgs(server, new Connection(server, happened.Connection!))));
        }
    }

    internal void Add(EventHandler<ServerStateEventArgs>? handler)
    {
        foreach (EventHandler<ServerStateEventArgs> each in Each(handler))
        {
            Add(each, Engine.ServerEventKind.StateChanged, happened => each(
                server, new ServerStateEventArgs(server, (ServerState)happened.Before, (ServerState)happened.State)));
        }
    }

    internal void Remove(Engine.ServerEventKind kind, Delegate? handler)
    {
        foreach (Delegate each in handler?.GetInvocationList() ?? [])
        {
            lock (_gate)
            {
                int place = _subscriptions.FindLastIndex(subscription => subscription.Kind == kind && subscription.Handler.Equals(each));
                if (place >= 0)
                {
                    _engine?.Unsubscribe(_subscriptions[place].Tell);
                    _subscriptions.RemoveAt(place);
                }
            }
        }
    }

    /// <summary>Makes an observer watch this server, too, also after restarts.</summary>
    internal void Watch(Engine.Observer watcher)
    {
        lock (_gate)
        {
            _watchers.Add(watcher);
            if (_engine is not null)
            {
                watcher.Observe(_engine);
            }
        }
    }

    /// <summary>Called for an observer that is about to be disposed of.</summary>
    internal void Unwatch(Engine.Observer watcher)
    {
        lock (_gate)
        {
            _watchers.Remove(watcher);
        }
    }

    // Handlers are subscribed one by one, so that the others are called even if one of them throws.
    private static IEnumerable<T> Each<T>(T? handler) where T : Delegate => handler?.GetInvocationList().Cast<T>() ?? [];

    private void Add(Delegate handler, Engine.ServerEventKind kind, Action<Engine.ServerEvent> tell)
    {
        Subscription subscription = new(handler, kind, happened =>
        {
            if (happened.Kind == kind)
            {
                tell(happened);
            }
        });
        lock (_gate)
        {
            // The engine comes first. A subscriber that it refuses, for lack of a thread, must not be kept for the next engine.
            _engine?.Subscribe(subscription.Tell);
            _subscriptions.Add(subscription);
        }
    }

    private sealed record Subscription(Delegate Handler, Engine.ServerEventKind Kind, Action<Engine.ServerEvent> Tell);
}
