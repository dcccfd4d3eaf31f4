using System.Diagnostics;

namespace C10kServer.Engine;

// How connections go from one worker to another. On the loop's thread.
internal sealed unsafe partial class Worker
{
    /// <summary>Gives a connection away, with all that belongs to it. False when the other worker is over, or when there is no memory: the
    /// connection stays then.</summary>
    private bool Move(Connection connection, Worker to)
    {
        if (to == this)
        {
            return true;
        }

        ConnectionTransfer transfer;
        try
        {
            // Before anything has changed.
            transfer = new ConnectionTransfer(connection, connection.SendQueue == 0 ? [] : new byte[connection.SendQueue]);
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();
            return false;
        }

        // What the connection has told is on its way before another worker can add to it.
        Gate?.Publish(Now);

        // Out of every list of this thread before another thread may touch it.
        int errno = connection.IsRegistered ? _epoll.Delete(connection.Fd) : 0;
        Debug.Assert(errno == 0, "a connection knows whether it is registered");
        _table.Remove(connection);
        _sync.Remove(connection);
        for (int left = _ready.Count; left > 0; left--)
        {
            Connection other = _ready.Dequeue();
            if (other != connection)
            {
                _ready.Enqueue(other);
            }
        }

        connection.Detach(to, transfer.Output);
        _server.Workers.OnMoveBegun();
        try
        {
            if (to.Post(new Command(CommandKind.TakeOver, Subject: transfer)))
            {
                return true;
            }
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();
        }

        connection.Assign(this);
        TakeOver(transfer);
        return false;
    }

    private void TakeOver(ConnectionTransfer transfer)
    {
        Connection connection = transfer.Connection;
        try
        {
            _table.Add(connection);
        }
        catch (OutOfMemoryException)
        {
            // Without a slot the connection gets no events. Its handler is told of the end all the same.
            connection.Slot = ConnectionTable.NoSlot;
            OnMemoryExhausted(connection);
            return;
        }
        finally
        {
            _server.Workers.OnMoveEnded();
        }

        try
        {
            int errno = connection.Attach(_epoll, transfer.Output);
            if (errno != 0)
            {
                connection.FailSocket(errno);
            }

            if (connection.Tag is Session session)
            {
                // A handler thread may have posted to the worker before, which was over by then: nobody else would come for it.
                Gate!.TakeOver(session);
                connection.Deliver(session);
            }
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted(connection);
        }
    }

    /// <summary>Retiring: connections go to the workers that stay; with the last one this one ends.</summary>
    private void HandOver()
    {
        for (int slot = 0; slot < _table.Capacity && _table.Count > 0; slot++)
        {
            if (_table.At(slot) is { State: not ConnectionState.Closed } connection
                && _server.Workers.Next() is { } heir && heir != this
                && !Move(connection, heir) && _server.State == ServerState.Faulted)
            {
                // The heirs are over, because the server is: to wait for others would be to spin.
                Stop(reset: false);
                return;
            }
        }

        _stopping |= _table.Count == 0;
    }
}
