namespace C10kServer.Clients.Kinds;

/// <summary>
/// Sends a message, and from then on neither reads nor sends nor answers the server's FIN, until the process ends or, where
/// that is told, until it closes after so long a silence.
/// </summary>
internal sealed class Vanisher : Client
{
    private readonly long _bytes;
    private readonly TimeSpan? _silence;

    public Vanisher(Fleet fleet, int number, long bytes, TimeSpan? silence = null)
        : base(fleet, number)
    {
        _bytes = bytes;
        _silence = silence;
    }

    public override bool Behaved => Outcome != Outcome.Failed && !HasWrongBytes;

    protected override void OnConnected()
    {
        StopReading();
        Send(_bytes);
        if (_silence is TimeSpan silence)
        {
            Fleet.Loop.Schedule(silence, Drop);
        }
    }
}
