using System.Diagnostics;

namespace C10kServer.Engine;

// How connections go from one worker to another. All of it runs on the loop's thread.
internal sealed unsafe partial class Worker
{
    /// <summary>
    /// Gives a connection to another worker, with everything that belongs to it. Returns false when the other worker has ended or when
    /// there is no memory; the connection then stays.
    /// </summary>
    private bool Move(Connection connection, Worker to)
    {
        if (to == this)
        {
            return true;
        }

        ConnectionTransfer transfer;
        try
        {
            // The allocation comes before anything has changed, because it may fail.
            transfer = new ConnectionTransfer(connection, connection.SendQueue == 0 ? [] : new byte[connection.SendQueue]);
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();
            return false;
        }

        // What the connection has published must be on its way before another worker can add to it.
        Gate?.Publish(Now);

        // The connection leaves every list of this thread before another thread may touch it.
        int errno = connection.IsRegistered ? _epoll.Delete(connection.Fd) : 0;
        Debug.Assert(errno == 0, "a connection knows whether it is registered");
        _table.Remove(connection);
        Remove(_sync, connection);
        Remove(_ready, connection);
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

    // Once around, in the order that there is: this takes no memory.
    private static void Remove(Queue<Connection> list, Connection connection)
    {
        for (int left = list.Count; left > 0; left--)
        {
            Connection other = list.Dequeue();
            if (other != connection)
            {
                list.Enqueue(other);
            }
        }
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
            // Without a slot, the connection gets no events. Its handler is still told of the end.
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
                // A handler thread may have posted to the earlier worker, which had ended by then. Nobody else would fetch the output.
                Gate!.TakeOver(session);
                connection.Deliver(session);
            }
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted(connection);
        }
    }

    /// <summary>Gives the connections of a retiring worker to the workers that stay. The worker ends with the last connection.</summary>
    private void HandOver()
    {
        for (int slot = 0; slot < _table.Capacity && _table.Count > 0; slot++)
        {
            if (_table.At(slot) is { State: not ConnectionState.Closed } connection
                && _server.Workers.Next() is { } heir && heir != this
                && !Move(connection, heir) && _server.State == ServerState.Faulted)
            {
                // The other workers have ended, because the server has. Waiting for others would mean spinning.
                Stop(reset: false);
                return;
            }
        }

        _stopping |= _table.Count == 0;
    }
}
