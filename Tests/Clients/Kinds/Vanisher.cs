namespace C10kServer.Clients.Kinds;

/// <summary>Sends a message, and from then on neither reads nor sends nor answers the server's FIN, until the process ends.</summary>
internal sealed class Vanisher : Client
{
    private readonly long _bytes;

    public Vanisher(Fleet fleet, int number, long bytes)
        : base(fleet, number) => _bytes = bytes;

    public override bool Behaved => Outcome != Outcome.Failed && !HasWrongBytes;

    protected override void OnConnected()
    {
        StopReading();
        Send(_bytes);
    }
}
