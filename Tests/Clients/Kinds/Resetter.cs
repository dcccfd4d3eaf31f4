namespace C10kServer.Clients.Kinds;

/// <summary>Sends, and closes with a reset as soon as the kernel has the bytes.</summary>
internal sealed class Resetter : Client
{
    private readonly long _bytes;

    public Resetter(Fleet fleet, int number, long bytes)
        : base(fleet, number) => _bytes = bytes;

    public override bool Behaved => Outcome == Outcome.Aborted && !HasWrongBytes;

    protected override void OnConnected() => Send(_bytes);

    protected override void OnSent() => Abort();
}
