using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// How a connection goes from one worker to another.
public sealed partial class Connection
{
    /// <summary>
    /// Detaches the connection from its worker, which has already taken the connection out of its lists. Called on that worker's thread.
    /// Afterwards the connection belongs to the new worker, and nobody touches it before <see cref="Attach"/>.
    /// </summary>
    /// <param name="newWorker">The connection's owner from then on.</param>
    /// <param name="output">Takes the queued output. The array has exactly the length of the queue.</param>
    internal void Detach(Worker newWorker, byte[] output)
    {
        Debug.Assert(_state != ConnectionState.Closed, "a closed connection stays to be reaped");
        _worker.Timers.Cancel(this);
        _flags = (_flags & ~(Flags.InReadyList | Flags.InSyncList)) | Flags.InTransit;
        Output?.MoveTo(output);
        Input?.Leave();
        if (_pendingIo is not null)
        {
            // The blocks of the queue belong to the pool of the old worker.
            _pendingIo.Output = null;
        }

        // This write comes last, because a thread that sees the new worker must also see that the connection is on its way.
        Volatile.Write(ref _worker, newWorker);
    }

    /// <summary>Sets the owner of a connection on its way, when its new worker turns out to have ended.</summary>
    internal void Assign(Worker worker) => _worker = worker;

    /// <summary>
    /// Called on the new worker's thread, after the worker has given the connection a slot. Returns 0, or the errno of the registration.
    /// </summary>
    /// <exception cref="OutOfMemoryException">The connection belongs to this worker, and cannot go on.</exception>
    internal int Attach(Epoll epoll, byte[] output)
    {
        Input?.Enter(_worker.Inputs);
        _flags &= ~(Flags.InTransit | Flags.PausedByBudget);
        if (output.Length > 0)
        {
            _pendingIo!.Output = new SendQueue(_worker.Buffers);
            _pendingIo.Output.Append(output);
        }

        Interest = WantedInterest();
        int errno = IsRegistered ? epoll.Add(Fd, Interest, ConnectionTable.Token(this)) : 0;
        ScheduleDeadline();
        MarkReady();
        return errno;
    }
}
