using System.Runtime.CompilerServices;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

// Sending requests and receiving answers.
internal abstract unsafe partial class LoadLoop
{
    /// <summary>Adds requests to a connection; <see cref="Flush"/> sends them. Their latency counts from the given moment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected void Issue(LoadConnection connection, int count, long moment)
    {
        if (connection.InFlight == 0)
        {
            connection.LastProgress = Now;
        }

        long first = (long)connection.Index * _pipeline;
        int place = connection.Oldest + connection.InFlight;
        for (int i = 0; i < count; i++, place++)
        {
            _moments[first + (place < _pipeline ? place : place - _pipeline)] = moment;
        }

        connection.InFlight += count;
        connection.ToSend += (long)count * _size;
        InFlight += count;
    }

    /// <summary>Sends as much as the socket takes. False when the send failed and the connection was lost.</summary>
    protected bool Flush(LoadConnection connection)
    {
        while (connection.ToSend > 0)
        {
            int most = (int)Math.Min(connection.ToSend, KeyedPattern.Chunk);
            int n = (int)Libc.Send(connection.Fd, _pattern.At(connection.SendAt), (nuint)most, Sockets.MsgNoSignal);
            if (n < 0)
            {
                int errno = Errno.Last;
                if (errno == Errno.EAGAIN)
                {
                    return WantOut(connection, true);
                }

                if (errno == Errno.EINTR)
                {
                    continue;
                }

                Tally.Broken(errno);
                Lose(connection);
                return false;
            }

            connection.ToSend -= n;
            connection.ToReceive += n;
            connection.SendAt = _pattern.Advance(connection.SendAt, n);
        }

        return WantOut(connection, false);
    }

    /// <summary>When the time for answers is over: counts the connections that still wait, as timed out, and closes them.</summary>
    protected void GiveUpUnanswered()
    {
        foreach (LoadConnection connection in Connections)
        {
            if (connection.InFlight > 0)
            {
                Tally.TimedOut();
                Lose(connection);
            }
            else if (connection.State == LoadConnection.Condition.Connecting)
            {
                FailConnect(connection, Errno.ETIMEDOUT);
            }
        }
    }

    /// <summary>Closes the connection of a place, if there is one, and frees the place.</summary>
    protected void Release(LoadConnection connection, bool reset)
    {
        if (connection.State == LoadConnection.Condition.Connecting)
        {
            PendingCount--;
        }
        else if (connection.State == LoadConnection.Condition.Open)
        {
            OpenCount--;
        }

        if (connection.Fd >= 0)
        {
            if (reset)
            {
                Sockets.ResetOnClose(connection.Fd);
            }

            // Deleted explicitly, because a copy of the descriptor in a forked child would keep the registration and its events alive (pitfall 6).
            _ = _epoll.Delete(connection.Fd);
            _ = Libc.Close(connection.Fd);
        }

        InFlight -= connection.InFlight;
        connection.State = LoadConnection.Condition.None;
        connection.Fd = -1;
        connection.Generation++;
        connection.InFlight = connection.Oldest = 0;
        connection.ToSend = connection.ToReceive = 0;
        connection.Begun = connection.LastProgress = 0;
    }

    private void Receive(LoadConnection connection)
    {
        int n = (int)Libc.Recv(connection.Fd, _scratch, KeyedPattern.Chunk, 0);
        if (n <= 0)
        {
            int errno = n < 0 ? Errno.Last : 0;
            if (errno is Errno.EAGAIN or Errno.EINTR)
            {
                return;
            }

            if (n == 0)
            {
                Tally.ClosedByServer();
            }
            else
            {
                Tally.Broken(errno);
            }

            Lose(connection);
            return;
        }

        ReadClock();
        if (n > connection.ToReceive || !_pattern.Matches(connection.ReceiveAt, _scratch, n))
        {
            Tally.WrongByte();
            Lose(connection);
            return;
        }

        Tally.Bytes += n;
        connection.LastProgress = Now;
        connection.ToReceive -= n;
        connection.ReceiveAt = _pattern.Advance(connection.ReceiveAt, n);
        if (n < connection.AnswerLeft)
        {
            connection.AnswerLeft -= n;
            return;
        }

        long more = n - connection.AnswerLeft;
        int count = more == 0 ? 1 : 1 + (int)(more / _size);
        connection.AnswerLeft = more == 0 ? _size : _size - (more % _size);
        Answer(connection, count);
    }

    private void Answer(LoadConnection connection, int count)
    {
        long first = (long)connection.Index * _pipeline;
        for (int i = 0; i < count; i++)
        {
            Tally.Latency.Record(Now - _moments[first + connection.Oldest]);
            connection.Oldest = connection.Oldest + 1 < _pipeline ? connection.Oldest + 1 : 0;
        }

        connection.InFlight -= count;
        InFlight -= count;
        Tally.Requests += count;
        _lastAnswer = Now;
        OnAnswered(connection, count);
    }

    private bool WantOut(LoadConnection connection, bool wanted)
    {
        if (connection.WantsOut == wanted)
        {
            return true;
        }

        connection.WantsOut = wanted;
        int errno = _epoll.Modify(connection.Fd, wanted ? Epoll.In | Epoll.Out : Epoll.In, Token(connection));
        return errno == 0 ? true : throw new EngineException("epoll_ctl", errno);
    }

    private void Lose(LoadConnection connection)
    {
        Release(connection, reset: false);
        OnLost(connection);
    }
}
