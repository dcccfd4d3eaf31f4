using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

// How connections end together with their descriptors, and how a worker ends with its connections. All of it runs on the loop's thread.
internal sealed unsafe partial class Worker
{
    // After the end, callbacks that make further callbacks due run for this long, and for this many passes on a machine that stands still.
    private const int LastCallbacksMilliseconds = 1000;
    private const int LastCallbackPasses = 100;

    /// <summary>Closes the connections that have ended, and reports them.</summary>
    private void Reap()
    {
        // A connection leaves the list before its descriptor is closed. After a fault in this method the list is worked off again, and a
        // second close would hit someone else's descriptor (pitfall 4).
        while (_reap.TryDequeue(out Connection? connection))
        {
            ClosedRing.Record record = connection.ToRecord();
            try
            {
                connection.Release();
                _server.ClosedConnections.Add(record);
            }
            catch (OutOfMemoryException)
            {
                OnMemoryExhausted();
            }

            CloseDescriptor(connection);
            try
            {
                _server.Observers.OnClosed(record);
                if (_server.Log.IsEnabled(LogLevel.Debug))
                {
                    _server.Log.ConnectionClosed(
                        Options.Name, connection.Id, connection.CloseReason.ToString(), connection.BytesReceived, connection.BytesSent);
                }
            }
            catch (OutOfMemoryException)
            {
                OnMemoryExhausted();
            }
        }
    }

    /// <summary>The only place in the code base that closes the descriptor of a connection. Allocates nothing.</summary>
    private void CloseDescriptor(Connection connection)
    {
        if (connection.IsRegistered)
        {
            _ = _epoll.Delete(connection.Fd);
        }

        // Whatever close returns, EINTR included, the descriptor is gone. It must never be closed again (pitfall 5).
        _ = Libc.Close(connection.Fd);
        _table.Remove(connection);
        Counters.Closed++;
        connection.LeaveServer(_server.Admission);
    }

    /// <summary>
    /// Called when the loop has ended, in order or by a fault. Nothing that the loop owned stays behind: each connection gets its last
    /// callbacks, as far as they come to an end, and every descriptor is closed.
    /// </summary>
    private void CloseDown()
    {
        try
        {
            _mailbox.Close();
            while (_mailbox.TryTake(out Command command))
            {
                ObeyLate(command);
            }

            Stop(reset: false);
            RunLastCallbacks();
            Gate?.Close();
        }
        catch (Exception e)
        {
            _server.OnFault($"worker {Id}", e);
        }
        finally
        {
            int left = CloseByForce();
            Dispose();
            if (left > 0)
            {
                _server.OnClosedByForce(Id, left);
            }
        }
    }

    /// <summary>
    /// Runs the last callbacks, within bounds. A connection whose callbacks have no end, or which no list of this worker holds any more,
    /// must not keep the thread.
    /// </summary>
    private void RunLastCallbacks()
    {
        long deadline = Clock.Now + LastCallbacksMilliseconds;
        for (int pass = 0; _ready.Count + _readyNow.Count + _reap.Count + _recoveryLeft > 0 && (pass < LastCallbackPasses || Clock.Now < deadline); pass++)
        {
            RunCallbacks();
            Gate?.Publish(Now);
            Reap();
            Recover();
        }
    }

    /// <summary>Closes the descriptors of the connections that are left, without their callbacks, and returns how many there were.</summary>
    private int CloseByForce()
    {
        int left = 0;
        for (int slot = 0; slot < _table.Capacity; slot++)
        {
            if (_table.At(slot) is { } connection)
            {
                Sockets.ResetOnClose(connection.Fd);
                CloseDescriptor(connection);
                left++;
            }
        }

        _reap.Clear();
        return left;
    }
}
