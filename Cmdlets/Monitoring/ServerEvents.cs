using System.Runtime.CompilerServices;

namespace C10kServer;

/// <summary>
/// Who has subscribed to a server's events and who watches it. The engine tells them; what it tells of its own server is told of ours here.
/// </summary>
internal sealed class ServerEvents(Server server)
{
    // Whose an engine is, for those that watch several. It ends with the engine.
    private static readonly ConditionalWeakTable<Engine.Server, Server> Owners = [];

    private readonly Lock _gate = new();
    private readonly List<Subscription> _subscriptions = [];
    private readonly List<Engine.Observer> _watchers = [];
    private Engine.Server? _engine;

    /// <summary>The server that an engine belongs to.</summary>
    internal static Server OwnerOf(Engine.Server engine) =>
        Owners.TryGetValue(engine, out Server? owner) ? owner : throw new InvalidOperationException("This engine has no owner.");

    /// <summary>The engine that they are told of from now on: those that are there stay subscribed.</summary>
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

    /// <summary>Has an observer told of this server too, over its restarts.</summary>
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

    /// <summary>For an observer that is disposed of.</summary>
    internal void Unwatch(Engine.Observer watcher)
    {
        lock (_gate)
        {
            _watchers.Remove(watcher);
        }
    }

    // One by one: where one of several throws, the others are told all the same.
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
            // In this order: a subscriber that the engine refuses, for want of a thread, is not kept for the next one.
            _engine?.Subscribe(subscription.Tell);
            _subscriptions.Add(subscription);
        }
    }

    private sealed record Subscription(Delegate Handler, Engine.ServerEventKind Kind, Action<Engine.ServerEvent> Tell);
}
