using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

// What becomes of an accept: a connection that is dealt to a worker, a connection that a limit turns away, or an error that is counted.
internal sealed unsafe partial class Acceptor
{
    private const int LogInterval = 1000;

    /// <summary>
    /// How long a count of the process's free descriptors holds at most. It expires, because the limit may be lowered from outside.
    /// </summary>
    internal const int RoomMilliseconds = 100;

    // The accepts that are left before the process's descriptors are counted again, and the time at which they are counted again at the
    // latest.
    private int _room;
    private long _roomUntil;

    private long _nextLogAt;

    // Failures since they were last logged.
    private long _errors;

    /// <summary>Counts a failure, and logs the failures once a second.</summary>
    internal void CountError(int errno, long now)
    {
        _counters.AcceptErrors++;
        _errors++;
        if (now >= _nextLogAt)
        {
            _nextLogAt = now + LogInterval;
            _server.Log.AcceptFailed(_server.Options.Name, Errno.Describe(errno), _errors);
            _errors = 0;
        }
    }

    /// <summary>
    /// Whether the process has a descriptor for another connection, and some to spare for the rest of the process. If not, the spare
    /// descriptors are let go at once, because the accept that fails would be too late for a file that is opened before it (pitfall 19).
    /// </summary>
    private bool HasRoom(long now)
    {
        if (!DescriptorReserve.AreHeld)
        {
            // Another acceptor of the process has met the limit. What it let go is not for connections.
            return false;
        }

        if (_room > 0 && now < _roomUntil)
        {
            return true;
        }

        int free = DescriptorReserve.CountRoom();
        if (free <= 0)
        {
            DescriptorReserve.Release();
            CountError(Errno.EMFILE, now);
            return false;
        }

        // Half of the free descriptors are for all acceptors together, because the rest of the process takes some, too.
        _room = Math.Max(1, free / (2 * Math.Max(1, _server.Workers.Count)));
        _roomUntil = now + RoomMilliseconds;
        return true;
    }

    /// <summary>
    /// Deals a connection to a worker. Returns false when no worker takes connections any more, because the server is at its end. A
    /// connection for which there is no memory is reset, like one that a limit turns away.
    /// </summary>
    private bool Deal(int fd, in SockAddr remote, ListeningSocket socket)
    {
        // A client of a Unix domain socket has no address that could be counted.
        int perAddress = remote.HasAddress ? _server.Options.MaxConnectionsPerAddress : 0;
        bool hasTicket = false;
        try
        {
            hasTicket = _server.Admission.TryEnter(remote, _server.ConnectionLimit, perAddress, out int reached);
            if (hasTicket)
            {
                // The connection is counted before a worker can count its end.
                Volatile.Write(ref _counters.Accepted, _counters.Accepted + 1);
                bool taken = _take(new Command(CommandKind.Adopt, fd, remote, socket, perAddress > 0 ? 1 : 0));
                if (!taken)
                {
                    _ = Libc.Close(fd);
                    GiveBack(remote, perAddress > 0);
                }

                return taken;
            }

            Volatile.Write(ref _counters.Rejected, _counters.Rejected + 1);
            LogRejected(remote, reached);
        }
        catch (OutOfMemoryException)
        {
            // The count of addresses or the worker's mailbox could not grow. The descriptor is still this acceptor's.
            if (hasTicket)
            {
                GiveBack(remote, perAddress > 0);
            }

            _counters.AcceptErrors++;
        }

        // A reset says at once what the client would have to guess after a silent close.
        Sockets.ResetOnClose(fd);
        _ = Libc.Close(fd);
        return true;
    }

    private void GiveBack(in SockAddr remote, bool countedByAddress)
    {
        Volatile.Write(ref _counters.Accepted, _counters.Accepted - 1);
        _server.Admission.Leave(remote, countedByAddress);
    }

    private void LogRejected(in SockAddr remote, int limit)
    {
        if (_server.Log.IsEnabled(LogLevel.Debug))
        {
            _server.Log.ConnectionRejected(_server.Options.Name, remote.ToEndPoint(), limit);
        }
    }
}
