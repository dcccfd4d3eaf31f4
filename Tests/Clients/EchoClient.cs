using System.Diagnostics;

namespace C10kServer.Clients;

/// <summary>Sends messages and waits for their echo, with a fixed number of them in flight.</summary>
internal sealed class EchoClient : Client
{
    private readonly IEchoOwner _owner;
    private long[] _started = [];
    private long _base;
    private int _size;
    private long _messages;
    private long _begun;
    private long _done;

    public EchoClient(Fleet fleet, int number, IEchoOwner owner)
        : base(fleet, number) => _owner = owner;

    /// <summary>Whether an exchange is under way.</summary>
    public bool IsBusy { get; private set; }

    /// <summary>The messages of the last exchange that came back whole.</summary>
    public long Done => _done;

    /// <summary>Starts an exchange, whose messages follow everything that was sent before.</summary>
    public void Begin(long messages, int size, int depth)
    {
        if (_started.Length != depth)
        {
            _started = new long[depth];
        }

        _base = Goal;
        _size = size;
        _messages = messages;
        _begun = _done = 0;
        IsBusy = true;
        Next(Math.Min(depth, messages));
    }

    /// <summary>Begins no more messages; those in flight are waited for.</summary>
    public void Finish()
    {
        _messages = _begun;
        Complete();
    }

    protected override void OnConnected() => _owner.OnConnected(this);

    protected override void OnReceived(int bytes)
    {
        if (!IsBusy || Received < _base)
        {
            return;
        }

        long whole = Math.Min(_begun, (Received - _base) / _size);
        if (whole > _done)
        {
            long now = Stopwatch.GetTimestamp();
            for (; _done < whole; _done++)
            {
                _owner.Latencies.Record(Stopwatch.GetElapsedTime(_started[_done % _started.Length], now));
            }

            Next(Math.Min(_started.Length - (_begun - _done), _messages - _begun));
            Complete();
        }
    }

    protected override void OnEnded()
    {
        bool busy = IsBusy;
        IsBusy = false;
        _owner.OnEnded(this, busy);
    }

    private void Next(long messages)
    {
        if (messages > 0)
        {
            long now = Stopwatch.GetTimestamp();
            for (long i = 0; i < messages; i++)
            {
                _started[_begun++ % _started.Length] = now;
            }

            Send(messages * _size);
        }
    }

    private void Complete()
    {
        if (IsBusy && _done == _messages)
        {
            IsBusy = false;
            _owner.OnExchanged(this);
        }
    }
}
