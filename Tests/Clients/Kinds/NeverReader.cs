namespace C10kServer.Clients.Kinds;

/// <summary>Sends, and does not read: what the server answers fills the buffers of both sides.</summary>
internal sealed class NeverReader : Client
{
    private readonly long _bytes;

    public NeverReader(Fleet fleet, int number, long bytes)
        : base(fleet, number) => _bytes = bytes;

    public override bool Behaved => Outcome != Outcome.Failed && !HasWrongBytes;

    // So that the server is stuck after some kilobytes.
    protected override bool IsNarrow => true;

    protected override void OnConnected()
    {
        StopReading();
        Send(_bytes);
    }
}
