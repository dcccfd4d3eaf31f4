namespace C10kServer.Engine;

// How a server starts, and how a start that fails half way is undone.
public sealed partial class Server
{
    /// <summary>Binds, listens, and starts the threads: when it returns, clients can connect.</summary>
    /// <exception cref="ServerStartException">Nothing is left behind, and the server may be started again.</exception>
    /// <exception cref="InvalidOperationException">The server was started before.</exception>
    public void Start() => Start(null);

    /// <summary>Binds, listens, and starts the threads: when it returns, clients can connect.</summary>
    /// <param name="from">The sockets of a server whose place this one takes. It uses those that fit.</param>
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

                // With one worker there is nobody to deal to: the loop that will have the connections accepts them itself, which saves a hop from
                // thread to thread for each.
                Listen(Workers.Count == 1 ? Workers.Current[0].Acceptor : acceptLoop.Acceptor, from);
                Workers.Start(gate);
                acceptLoop.Start(gate);
                OpenLog();

                // The last act that can fail is behind: no thread has touched anything so far.
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
                // Of more workers than there are now: what waits in their queues is served.
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
