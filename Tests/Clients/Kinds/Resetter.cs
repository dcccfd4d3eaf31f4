namespace C10kServer.Clients.Kinds;

/// <summary>Sends, and closes with a reset: as soon as the kernel has the bytes, or in the midst of the answer.</summary>
internal sealed class Resetter : Client
{
    private readonly long _bytes;
    private readonly long _after;

    /// <param name="after">After how many bytes of the answer it resets; 0: once all is sent, whatever has come.</param>
    public Resetter(Fleet fleet, int number, long bytes, long after = 0)
        : base(fleet, number)
    {
        _bytes = bytes;
        _after = after;
    }

    public override bool Behaved => Outcome == Outcome.Aborted && !HasWrongBytes;

    protected override void OnConnected() => Send(_bytes);

    protected override void OnSent()
    {
        if (_after == 0)
        {
            Abort();
        }
    }

    protected override void OnReceived(int bytes)
    {
        if (_after > 0 && Received >= _after)
        {
            Abort();
        }
    }
}
