namespace C10kServer.Clients.Kinds;

/// <summary>Sends its bytes one at a time, with a pause before each next one, then closes. A server may cut it short.</summary>
internal sealed class SlowWriter : Client
{
    private readonly long _bytes;
    private readonly TimeSpan _interval;

    public SlowWriter(Fleet fleet, int number, long bytes, TimeSpan interval)
        : base(fleet, number)
    {
        _bytes = bytes;
        _interval = interval;
    }

    public override bool Behaved => Outcome != Outcome.Failed && !HasWrongBytes;

    protected override void OnConnected() => Next();

    private void Next()
    {
        if (!CanSend)
        {
            return;
        }

        Send(1);
        if (Goal < _bytes)
        {
            Fleet.Loop.Schedule(_interval, Next);
        }
        else
        {
            Close();
        }
    }
}
