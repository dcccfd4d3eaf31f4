namespace C10kServer.Engine;

// How a server starts, and how a start that fails half way is undone.
public sealed partial class Server
{
    /// <summary>Binds, listens, and starts the threads. When the call returns, clients can connect.</summary>
    /// <exception cref="ServerStartException">Nothing is left behind, and the server may be started again.</exception>
    /// <exception cref="InvalidOperationException">The server was started before.</exception>
    public void Start() => Start(null);

    /// <summary>Binds, listens, and starts the threads. When the call returns, clients can connect.</summary>
    /// <param name="from">The sockets of the server whose place this one takes. The start uses the sockets that fit.</param>
    /// <exception cref="ServerStartException">Nothing is left behind, and the server may be started again.</exception>
    /// <exception cref="InvalidOperationException">The server was started before.</exception>
    public void Start(SocketHandover? from)
    {
        lock (_lifecycle)
        {
            if (_state != ServerState.Created)
            {
                throw new InvalidOperationException($"The server is {_state}: a server starts once.");
            }

            AcceptLoop? acceptLoop = null;
            var gate = new StartGate();
            try
            {
                DescriptorReserve.Join();
                _spares = 1;
                ConnectionLimit = DescriptorLimit.ConnectionLimit(Options);
                acceptLoop = new AcceptLoop(this);
                Workers.Make(Options.WorkerCount);

                // With one worker there is nobody to deal to. The loop that will have the connections accepts them itself, which saves each
                // connection a hop from thread to thread.
                Listen(Workers.Count == 1 ? Workers.Current[0].Acceptor : acceptLoop.Acceptor, from);
                Workers.Start(gate);
                acceptLoop.Start(gate);
                OpenLog();

                // The last step that can fail is done. No thread has touched anything so far.
                _acceptLoop = acceptLoop;
            }
            catch (EngineException e)
            {
                throw ServerStartException.For(e);
            }
            finally
            {
                if (_acceptLoop is null)
                {
                    CallOff(gate, acceptLoop);
                }
            }

            CloseInherited();
            _startedAt = Clock.Now;
            Volatile.Write(ref _startedOn, Clock.WallClock);
            Become(ServerState.Running);
            gate.Open();
            LogStart();
            if (from is not null)
            {
                // The other server had more workers than there are now. The clients that wait in the queues of the remaining sockets are
                // served.
                ReturnSockets(from.TakeListening(), leaving: true);
            }

            ServerMeter.Join(this);
        }
    }

    // The threads that wait at the gate end without a turn, so that no handler can hold them up.
    private void CallOff(StartGate gate, AcceptLoop? acceptLoop)
    {
        gate.CallOff();
        acceptLoop?.Join(Timeout.InfiniteTimeSpan);
        acceptLoop?.Dispose();
        Workers.CallOff();
        CloseLog();
        LeaveSpares();
        EndPoints = [];
    }
}
