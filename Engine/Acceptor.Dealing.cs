using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

// What becomes of an accept: a connection that is dealt to a worker, one that a limit turns away, or an error that is counted.
internal sealed unsafe partial class Acceptor
{
    private const int LogInterval = 1000;

    private long _nextLogAt;

    // Since they were last logged.
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

    /// <summary>False when no worker takes connections any more, because the server is at its end.</summary>
    private bool Deal(int fd, in SockAddr remote, ListeningSocket socket)
    {
        // A client of a Unix domain socket has no address that could be counted.
        int perAddress = remote.HasAddress ? _server.Options.MaxConnectionsPerAddress : 0;
        if (!_server.Admission.TryEnter(remote, _server.ConnectionLimit, perAddress, out int reached))
        {
            Reject(fd, remote, reached);
            return true;
        }

        // Counted before a worker can count the connection's end.
        Volatile.Write(ref _counters.Accepted, _counters.Accepted + 1);
        if (_take(new Command(CommandKind.Adopt, fd, remote, socket, perAddress > 0 ? 1 : 0)))
        {
            return true;
        }

        _ = Libc.Close(fd);
        Volatile.Write(ref _counters.Accepted, _counters.Accepted - 1);
        _server.Admission.Leave(remote, perAddress > 0);
        return false;
    }

    // A reset says at once what a silent close would leave the client to guess.
    private void Reject(int fd, in SockAddr remote, int limit)
    {
        Sockets.ResetOnClose(fd);
        _ = Libc.Close(fd);
        Volatile.Write(ref _counters.Rejected, _counters.Rejected + 1);
        if (_server.Log.IsEnabled(LogLevel.Debug))
        {
            _server.Log.ConnectionRejected(_server.Options.Name, remote.ToEndPoint(), limit);
        }
    }
}
