using System.Diagnostics;
using C10kServer.Engine.Native;

namespace C10kServer.Engine;

// How it goes from one worker to another.
public sealed partial class Connection
{
    /// <summary>
    /// Leaves its worker, which has taken it out of its lists; on that one's thread. Afterwards it is the new worker's, and
    /// nobody touches it before <see cref="Attach"/>.
    /// </summary>
    /// <param name="newWorker">Its owner from then on.</param>
    /// <param name="output">Takes the queued output, of whose length it is.</param>
    internal void Detach(Worker newWorker, byte[] output)
    {
        Debug.Assert(_state != ConnectionState.Closed, "a closed connection stays to be reaped");
        _worker.Timers.Cancel(this);
        _flags = (_flags & ~(Flags.InReadyList | Flags.InSyncList)) | Flags.InTransit;
        Output?.MoveTo(output);
        Input?.Leave();
        if (_pendingIo is not null)
        {
            // The blocks are this worker's pool's.
            _pendingIo.Output = null;
        }

        // Last: who sees the new worker sees that it is on its way.
        Volatile.Write(ref _worker, newWorker);
    }

    /// <summary>For a transfer whose new worker turns out to be over.</summary>
    internal void Assign(Worker worker) => _worker = worker;

    /// <summary>On the new worker's thread, which has given it a slot. 0, or the errno of the registration.</summary>
    /// <exception cref="OutOfMemoryException">The connection is this worker's, and cannot go on.</exception>
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
