using System.Diagnostics;
using C10kServer.Engine.Native;
using Microsoft.Extensions.Logging;

namespace C10kServer.Engine;

// What other threads ask of a worker: its mailbox, and each command that can be in it.
internal sealed unsafe partial class Worker
{
    // The most commands per turn, so that a burst of accepts does not hold up the connections that are there already.
    private const int CommandsPerTurn = 256;

    // The most rows per turn. With TCP_INFO they take some 300 us, which is what a walk may cost the latency of others.
    private const int RowsPerTurn = 128;

    private const int LogInterval = 1000;

    // Adopt errors since they were last logged.
    private long _adoptErrors;
    private long _nextAdoptLogAt;

    private void ReadMailbox()
    {
        if (!_mailboxPending)
        {
            return;
        }

        for (int i = 0; i < CommandsPerTurn; i++)
        {
            if (!_mailbox.TryTake(out Command command))
            {
                _mailboxPending = false;
                return;
            }

            TryObey(command);
            if (command.Kind == CommandKind.Walk)
            {
                // A portion is the work of one turn, and the next portion may already wait in the mailbox.
                return;
            }
        }
    }

    private void TryObey(in Command command)
    {
        try
        {
            Obey(command);
        }
        catch (OutOfMemoryException) when (command.Kind is CommandKind.Act or CommandKind.Walk)
        {
            // A row could not be made. The caller gets its answer, and the connections are not affected.
            OnMemoryExhausted();
            ObeyLate(command);
        }
    }

    private void Obey(in Command command)
    {
        switch (command.Kind)
        {
            case CommandKind.Adopt:
                Adopt(command);
                break;
            case CommandKind.TakeOver:
                TakeOver((ConnectionTransfer)command.Subject!);
                break;
            case CommandKind.Act:
                Act((ConnectionRequest)command.Subject!);
                break;
            case CommandKind.Walk:
                Walk((ConnectionWalk)command.Subject!, command.Number);
                break;
            case CommandKind.Deliver:
                Deliver(command);
                break;
            case CommandKind.Configure:
                Configure();
                break;
            case CommandKind.StopAccepting:
                _server.ReturnSockets(Acceptor.Release(), leaving: false);
                break;
            case CommandKind.Retire:
                _retiring = true;
                _server.ReturnSockets(Acceptor.Release(), leaving: true);
                break;
            case CommandKind.Stop:
                Stop(reset: command.Number != 0);
                break;
            default:
                throw new UnreachableException();
        }
    }

    private bool AdoptOwn(Command command)
    {
        try
        {
            Adopt(command);
        }
        catch (OutOfMemoryException)
        {
            // The allocation was for the log. The descriptor has its owner by then, or is closed.
            OnMemoryExhausted();
        }

        return true;
    }

    private void Adopt(in Command command)
    {
        ConnectionHandler handler;
        long id = Interlocked.Increment(ref s_lastConnectionId);
        try
        {
            handler = Options.HandlerFactory();
        }
        catch (Exception e)
        {
            // The steps that take no memory come first.
            Counters.HandlerErrors++;
            Refuse(command);
            _server.OnHandlerFactoryError(e);
            return;
        }

        Connection connection;
        try
        {
            connection = new Connection(this, id, command.Fd, command.Remote, (ListeningSocket)command.Subject!, handler, command.Number != 0);
            _table.Add(connection);
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted();
            Refuse(command);
            return;
        }

        int errno = _epoll.Add(command.Fd, Epoll.In | Epoll.RdHup, ConnectionTable.Token(connection));
        if (errno != 0)
        {
            _table.Remove(connection);
            Refuse(command);
            CountAdoptError(errno);
            return;
        }

        try
        {
            if (_server.Log.IsEnabled(LogLevel.Debug))
            {
                _server.Log.ConnectionOpened(Options.Name, id, connection.RemoteEndPoint, Id);
            }

            _server.Observers.OnOpened(connection);
            connection.Open();
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted(connection);
        }
    }

    // The acceptor treats its errors in the same way: a limit that is reached fails every connection that comes, and the log must stay
    // bounded.
    private void CountAdoptError(int errno)
    {
        Counters.AcceptErrors++;
        _adoptErrors++;
        if (Now >= _nextAdoptLogAt)
        {
            _nextAdoptLogAt = Now + LogInterval;
            _server.OnAdoptError(errno, _adoptErrors);
            _adoptErrors = 0;
        }
    }

    // The descriptor never became a connection of the table. The peer sees a reset at once instead of silence.
    private void Refuse(in Command command)
    {
        Sockets.ResetOnClose(command.Fd);
        _ = Libc.Close(command.Fd);
        Counters.Closed++;
        _server.Admission.Leave(command.Remote, countedByAddress: command.Number != 0);
    }

    private void Deliver(in Command command)
    {
        var session = (Session)command.Subject!;
        Worker owner = session.Connection.Worker;
        if (owner != this || session.Connection.IsInTransit)
        {
            // The connection has moved, or is still on its way here. The command goes to the owner's mailbox, behind the transfer. If the owner
            // has ended, so has the connection.
            owner.Post(command);
            return;
        }

        try
        {
            session.Connection.Deliver(session);
        }
        catch (OutOfMemoryException)
        {
            OnMemoryExhausted(session.Connection);
        }
    }

    private void Act(ConnectionRequest request)
    {
        Connection? connection = _table.Find(request.Target.Id, request.Target.Slot);
        if (connection is null || connection.State == ConnectionState.Closed)
        {
            request.Answer(null);
            return;
        }

        switch (request.Action)
        {
            case ConnectionAction.Look:
                break;
            case ConnectionAction.Close:
                connection.BeginClose(CloseReason.AdminClosed);
                break;
            case ConnectionAction.Reset:
                connection.Abort(CloseReason.AdminClosed);
                break;
            case ConnectionAction.PauseReading:
                connection.PauseByAdmin();
                break;
            case ConnectionAction.ResumeReading:
                connection.ResumeByAdmin();
                break;
            case ConnectionAction.Send:
                request.SendCommand!.Deliver(connection);
                break;
            case ConnectionAction.Move:
                // The row comes first, because the connection belongs to another thread afterwards.
                ConnectionInfo row = connection.ToInfo();
                bool moved = Move(connection, request.MoveTo!);
                request.Answer(moved ? row with { Worker = request.MoveTo!.Id, Slot = -1 } : row);
                return;
            default:
                throw new UnreachableException();
        }

        // A look is for one connection, so it can afford to ask the kernel about it.
        request.Answer(connection.ToInfo(tcp: request.Action == ConnectionAction.Look));
    }

    private void Configure()
    {
        ReadOptions();
        for (int slot = 0; slot < _table.Capacity; slot++)
        {
            _table.At(slot)?.Reconfigure();
        }
    }

    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(Options))]
    private void ReadOptions()
    {
        Options = _server.Options;
        IdleTimeout = Clock.ToMilliseconds(Options.IdleTimeout);
        HandshakeTimeout = Clock.ToMilliseconds(Options.HandshakeTimeout);
        MessageTimeout = Clock.ToMilliseconds(Options.MessageTimeout);
        LingerTimeout = Clock.ToMilliseconds(Options.LingerTimeout);
        WriteTimeout = Clock.ToMilliseconds(Options.WriteTimeout);
        StallLookInterval = WriteTimeout == Clock.Never ? Clock.Never : Math.Max(TimerWheel.Tick, WriteTimeout / 4);
        HighWaterMark = Options.HighWaterMark;

        // One message of the greatest length always fits, together with what a receive brings beyond it and with the half-size array that
        // is held while it is copied.
        InputBudget.Configure(Math.Max(Options.MaxUnfinishedInput, 3 * ((long)Options.MaxMessage + ScratchSize)));
        _busyPoll = (long)(Options.BusyPoll.TotalSeconds * Stopwatch.Frequency);
        Framing = Options.Framing.Kind == FramingKind.Raw ? null : Options.Framing;
    }

    private void Walk(ConnectionWalk walk, int from)
    {
        if (walk.IsOver)
        {
            walk.Finish(this);
            return;
        }

        int to = Math.Min(from + walk.Portion(RowsPerTurn), _table.Capacity);
        List<ConnectionInfo>? rows = null;
        for (int slot = from; slot < to; slot++)
        {
            if (_table.At(slot) is { State: not ConnectionState.Closed } connection
                && walk.Filter.Accepts(connection) && walk.Meet(connection))
            {
                (rows ??= new List<ConnectionInfo>(to - from)).Add(connection.ToInfo(walk.Filter.WithTcp));
            }
        }

        walk.Add(rows);
        if (to < _table.Capacity)
        {
            // The rest comes after others have had their turn.
            Post(new Command(CommandKind.Walk, Subject: walk, Number: to));
        }
        else
        {
            walk.Finish(this);
        }
    }

    private void Stop(bool reset)
    {
        _stopping = true;
        Acceptor.Dispose();
        for (int slot = 0; slot < _table.Capacity; slot++)
        {
            if (_table.At(slot) is not { } connection)
            {
                continue;
            }

            try
            {
                if (reset)
                {
                    connection.Abort(CloseReason.ServerStopped);
                }
                else
                {
                    connection.Stop();
                }
            }
            catch (OutOfMemoryException)
            {
                OnMemoryExhausted(connection);
            }
        }
    }

    /// <summary>Handles a command that had been posted when the loop ended. Its descriptors and questions are still taken care of.</summary>
    private void ObeyLate(in Command command)
    {
        switch (command.Kind)
        {
            case CommandKind.Adopt or CommandKind.TakeOver when _retiring && _server.Workers.Redeal(command, this):
                break;
            case CommandKind.Adopt:
                Refuse(command);
                break;
            case CommandKind.TakeOver:
                TakeOver((ConnectionTransfer)command.Subject!);
                break;
            case CommandKind.Act:
                ((ConnectionRequest)command.Subject!).Answer(null);
                break;
            case CommandKind.Walk:
                ((ConnectionWalk)command.Subject!).Finish(this);
                break;
            case CommandKind.Deliver:
                Deliver(command);
                break;
            case CommandKind.Configure or CommandKind.StopAccepting or CommandKind.Retire or CommandKind.Stop:
                break;
            default:
                throw new UnreachableException();
        }
    }
}
