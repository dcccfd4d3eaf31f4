using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

// How others see and reach a server's connections.
public sealed partial class Server
{
    /// <summary>The Id that was last given to a connection of any server of the process. Later connections have higher Ids.</summary>
    public static long LastConnectionId => Worker.LastConnectionId;

    internal ObserverList Observers { get; }

    private SubscriberThread Events { get; }

    internal ClosedRing ClosedConnections { get; }

    /// <summary>
    /// The last connections that were closed, up to 1,024, the last one first, with reason, counters, duration and Tag. The closed
    /// connections of the server that this one continues are among them.
    /// </summary>
    public IReadOnlyList<ConnectionInfo> GetClosed() => ClosedConnections.GetRows();

    /// <summary>Begins a walk over the connections.</summary>
    /// <exception cref="InvalidOperationException">The caller is one of the server's own threads, which would wait for itself.</exception>
    public ConnectionWalk Walk(ConnectionQuery filter)
    {
        ArgumentNullException.ThrowIfNull(filter);
        Workers.RefuseOwnThread();
        return new ConnectionWalk(filter, Workers);
    }

    /// <summary>
    /// Sends bytes to the connections that exist now, to each of them once, and walks over the connections that are not closing. A
    /// connection whose queue would exceed <see cref="ServerOptions.MaxSendQueue"/> is sent nothing: see
    /// <see cref="ConnectionWalk.WasFull"/>.
    /// </summary>
    /// <param name="filter">The connections that get the bytes.</param>
    /// <param name="data">The bytes, at least one.</param>
    public ConnectionWalk Broadcast(ConnectionQuery filter, ImmutableArray<byte> data)
    {
        ArgumentNullException.ThrowIfNull(filter);
        ArgumentOutOfRangeException.ThrowIfZero(data.Length);
        return new ConnectionWalk(filter, Workers, new Broadcast(data, Worker.LastConnectionId));
    }

    /// <summary>
    /// Has a connection's worker do something with the connection, and tells what the connection was like just after. Returns false when
    /// there is no such connection any more.
    /// </summary>
    /// <param name="target">The connection.</param>
    /// <param name="action">What to do.</param>
    /// <param name="timeout">How long to wait for the worker.</param>
    /// <param name="cancel">Ends the wait. What was asked for is then under way, as it is after a timeout.</param>
    /// <param name="after">The connection just after the action.</param>
    /// <param name="moveTo">The worker that is to have the connection, for <see cref="ConnectionAction.Move"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such worker to move to.</exception>
    /// <exception cref="TimeoutException">The connection's worker did not answer, because a handler blocks it.</exception>
    /// <exception cref="InvalidOperationException">The caller is one of the server's own threads, which would wait for itself.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public bool TryAct(
        ConnectionRef target,
        ConnectionAction action,
        TimeSpan timeout,
        CancellationToken cancel,
        [NotNullWhen(true)] out ConnectionInfo? after,
        int moveTo = -1)
    {
        if (action == ConnectionAction.Send)
        {
            throw new ArgumentException($"Bytes are sent with {nameof(TrySend)}.", nameof(action));
        }

        Worker? heir = null;
        if (action == ConnectionAction.Move)
        {
            IReadOnlyList<Worker> workers = Workers.Current;
            if ((uint)moveTo >= (uint)workers.Count)
            {
                throw new ArgumentOutOfRangeException(nameof(moveTo), moveTo, $"The workers are 0 to {workers.Count - 1}.");
            }

            heir = workers[moveTo];
        }

        after = Workers.Ask(target, action, heir, null, timeout, cancel);
        return after is not null;
    }

    /// <summary>Sends bytes on a connection, as its handler would, and tells what the connection was like just after.</summary>
    /// <param name="target">The connection.</param>
    /// <param name="data">The bytes.</param>
    /// <param name="timeout">How long to wait for the worker.</param>
    /// <param name="cancel">Ends the wait. What was asked for is then under way, as it is after a timeout.</param>
    /// <param name="after">The connection just after the bytes were sent.</param>
    /// <exception cref="TimeoutException">The connection's worker did not answer, because a handler blocks it.</exception>
    /// <exception cref="InvalidOperationException">The caller is one of the server's own threads, which would wait for itself.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public SendOutcome TrySend(
        ConnectionRef target, ImmutableArray<byte> data, TimeSpan timeout, CancellationToken cancel, out ConnectionInfo? after)
    {
        var command = new SendCommand(data);
        after = Workers.Ask(target, ConnectionAction.Send, null, command, timeout, cancel);
        return after is null ? SendOutcome.NotFound : command.Outcome;
    }

    /// <summary>
    /// Adds a subscriber. It is told of everything that happens from now on, one event after the other, on a thread that is neither the
    /// caller's nor a worker's.
    /// </summary>
    /// <exception cref="ServerStartException">The process may not have another thread. The subscriber is not added.</exception>
    public void Subscribe(Action<ServerEvent> subscriber)
    {
        ArgumentNullException.ThrowIfNull(subscriber);
        try
        {
            Events.Add(subscriber);
        }
        catch (EngineException e)
        {
            throw ServerStartException.For(e);
        }
    }

    /// <summary>Removes a subscriber that <see cref="Subscribe"/> has added. With the last subscriber, the thread ends.</summary>
    public void Unsubscribe(Action<ServerEvent> subscriber)
    {
        ArgumentNullException.ThrowIfNull(subscriber);
        Events.Remove(subscriber);
    }
}
