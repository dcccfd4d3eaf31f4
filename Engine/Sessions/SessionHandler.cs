namespace C10kServer.Engine;

/// <summary>
/// The handler of a server whose messages go to handler threads. It puts each connection's messages into the <see cref="SessionScheduler"/>,
/// and pauses reading from a peer that sends more than the handlers handle. One object serves all connections; the connection's Tag is its
/// session.
/// </summary>
internal sealed class SessionHandler(SessionScheduler scheduler, MessageDecoder decoder, bool tellsOpened, bool tellsClosed) : ConnectionHandler
{
    public override void OnOpen(Connection connection)
    {
        if (tellsOpened)
        {
            Add(connection, new SessionMessage(SessionEvent.Opened));
        }
    }

    public override void OnReceived(Connection connection, ReadOnlySpan<byte> data)
    {
        Session session = SessionOf(connection);
        if (session.IsDeaf || decoder(session, data) is not { } message)
        {
            return;
        }

        Add(connection, new SessionMessage(SessionEvent.Received, message, data.Length + SessionScheduler.MessageOverhead));
        if (!session.WantsRoom && (session.ArrivedWeight + session.Outstanding > SessionScheduler.SessionLimit || scheduler.IsFull))
        {
            // Set before the message is published, so that the consumer that finishes the message sees that room is wanted.
            session.WantsRoom = true;
            connection.PauseBySession();
        }
    }

    public override void OnPeerClosed(Connection connection)
    {
        if (connection.Tag is null)
        {
            connection.Close();
        }
        else
        {
            Add(connection, new SessionMessage(SessionEvent.PeerClosed));
        }
    }

    public override void OnDrained(Connection connection) => (connection.Tag as Session)?.OnDrained();

    public override void OnClosed(Connection connection)
    {
        if (tellsClosed)
        {
            Add(connection, new SessionMessage(SessionEvent.Closed));
        }

        (connection.Tag as Session)?.OnClosed();
    }

    private Session SessionOf(Connection connection)
    {
        if (connection.Tag is Session session)
        {
            return session;
        }

        session = new Session(connection, scheduler);
        connection.Tag = session;
        return session;
    }

    private void Add(Connection connection, SessionMessage message) => connection.Worker.Gate!.Add(SessionOf(connection), message, connection.Worker.Now);
}
