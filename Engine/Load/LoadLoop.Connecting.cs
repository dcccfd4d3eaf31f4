using C10kServer.Engine.Native;

namespace C10kServer.Engine.Load;

// Making the connections.
internal abstract unsafe partial class LoadLoop
{
    /// <summary>Makes all connections, at most <see cref="MaxPending"/> at a time.</summary>
    /// <exception cref="LoadException">Not one connection could be made.</exception>
    protected void ConnectAll()
    {
        Enter(LoadPhase.Connecting, Never);
        long begun = Now;
        int next = 0;
        while ((next < Connections.Length || PendingCount > 0) && !_stopped)
        {
            bool busy = false;
            while (next < Connections.Length && PendingCount < MaxPending && !busy && !_stopped)
            {
                ReadClock();
                busy = !Connect(Connections[next]);
                next += busy ? 0 : 1;
            }

            if (next < Connections.Length || PendingCount > 0)
            {
                Turn(busy ? Now + BusyPause : Never);
            }
        }

        ConnectTime = ToTimeSpan(Now - begun);
        if (Tally.Connected == 0 && !_stopped)
        {
            ThrowConnectFailed();
        }
    }

    /// <summary>Begins to connect. False if the kernel reports a full accept queue: then the caller tries the same connection again.</summary>
    protected bool Connect(LoadConnection connection)
    {
        if (connection.LastProgress == 0)
        {
            connection.LastProgress = Now;
        }

        int fd = Target.Open();
        if (fd < 0)
        {
            FailConnect(connection, -fd);
            return true;
        }

        int errno = Target.Connect(fd);
        if (errno == 0)
        {
            errno = _epoll.Add(fd, Epoll.In | Epoll.Out, Token(connection));
        }
        else if (errno == Errno.EAGAIN && Target.Family == SockAddr.AfUnix)
        {
            if (Now - connection.LastProgress < _connectTimeout)
            {
                _ = Libc.Close(fd);
                return false;
            }

            errno = Errno.ETIMEDOUT;
        }

        if (errno != 0)
        {
            _ = Libc.Close(fd);
            FailConnect(connection, errno);
            return true;
        }

        connection.Fd = fd;
        connection.State = LoadConnection.Condition.Connecting;
        connection.WantsOut = true;
        connection.SendAt = connection.ReceiveAt = _pattern.Start(_lastKey++);
        connection.AnswerLeft = _size;
        PendingCount++;
        return true;
    }

    /// <exception cref="LoadException">Always.</exception>
    protected void ThrowConnectFailed()
    {
        int errno = Tally.ConnectError;
        throw new LoadException(
            LoadFailure.ConnectFailed,
            $"No connection to {Target.EndPoint} could be made, in {Tally.FailedConnects} tries{LoadTally.Explain(errno)}.",
            errno);
    }

    private static void CheckDescriptors(LoadOptions options)
    {
        (int free, int limit, int open) = OpenDescriptors.Count();
        int each = options.IsOwnServer ? 2 : 1;
        if ((long)options.Connections * each > free)
        {
            string both = options.IsOwnServer ? ", whose other ends are the server's, in the same process" : "";
            throw new LoadException(
                LoadFailure.DescriptorLimit,
                $"The process may have {limit} descriptors and {open} are open: too few for {options.Connections} connections{both}. " +
                $"Ask for {free / each} at most, or raise the limit (ulimit -n) before the shell starts.");
        }
    }

    private void Register(Descriptor descriptor)
    {
        int errno = _epoll.Add(descriptor.Fd, Epoll.In | Epoll.EdgeTriggered, WakeToken);
        if (errno != 0)
        {
            throw new EngineException("epoll_ctl", errno);
        }
    }

    private void FinishConnect(LoadConnection connection, uint ready)
    {
        int errno = (ready & (Epoll.Err | Epoll.Hup)) != 0 ? Sockets.TakeError(connection.Fd) : 0;
        if (errno != 0)
        {
            FailConnect(connection, errno);
            return;
        }

        if (Target.IsItself(connection.Fd))
        {
            // Closed with a reset, so that the port is free at once for the server that is missing.
            Sockets.ResetOnClose(connection.Fd);
            FailConnect(connection, Errno.ECONNREFUSED);
            return;
        }

        PendingCount--;
        OpenCount++;
        connection.State = LoadConnection.Condition.Open;
        Tally.Connected++;
        OnConnected(connection);
        if (connection.State == LoadConnection.Condition.Open && connection.ToSend == 0)
        {
            WantOut(connection, false);
        }
    }

    private void FailConnect(LoadConnection connection, int errno)
    {
        Tally.ConnectFailed(errno);
        Lose(connection);
    }
}
