namespace C10kServer.Clients.Kinds;

/// <summary>Sends at once, and reads the answer in small pieces with a pause before each; closes when it has it all.</summary>
internal sealed class SlowReader : Client
{
    private readonly long _bytes;
    private readonly TimeSpan _interval;
    private readonly int _piece;

    public SlowReader(Fleet fleet, int number, long bytes, TimeSpan interval, int piece)
        : base(fleet, number)
    {
        _bytes = bytes;
        _interval = interval;
        _piece = piece;
    }

    public override bool Behaved => Outcome != Outcome.Failed && !HasWrongBytes;

    protected override bool IsNarrow => true;

    // It reads up to the end in its own time, and finds it there.
    protected override bool NoticesEnd => false;

    protected override int ReceiveSize => _piece;

    protected override void OnConnected()
    {
        StopReading();
        Send(_bytes);
        Next();
    }

    protected override void OnReceived(int bytes)
    {
        if (Received == _bytes)
        {
            Close();
        }
    }

    private void Next()
    {
        ReceiveOnce();
        if (IsOpen && Received < _bytes)
        {
            Fleet.Loop.Schedule(_interval, Next);
        }
    }
}
