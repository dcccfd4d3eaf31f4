namespace C10kServer.Clients.Kinds;

/// <summary>Sends, shuts its sending side down, and wants the whole answer before the server's end.</summary>
internal sealed class HalfCloser : Client
{
    private readonly long _bytes;
    private readonly long _expected;

    public HalfCloser(Fleet fleet, int number, long bytes, long expected)
        : base(fleet, number)
    {
        _bytes = bytes;
        _expected = expected;
    }

    public override bool Behaved => Outcome == Outcome.Ended && Received == _expected && !HasWrongBytes;

    protected override void OnConnected()
    {
        Send(_bytes);
        FinishSending();
    }
}
