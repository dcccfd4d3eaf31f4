namespace C10kServer.Clients.Kinds;

/// <summary>Sends random bytes in pieces of random size, a piece a turn of the loop, then closes. The seed makes it repeatable.</summary>
internal sealed class GarbageSender : Client
{
    // Around the size of a segment, so that pieces are split and joined in every way.
    private const int LongestPiece = 3000;

    private readonly Random _random;
    private readonly long _bytes;
    private byte[] _piece = [];
    private long _pieceStart;

    public GarbageSender(Fleet fleet, int number, long bytes, int seed)
        : base(fleet, number)
    {
        _bytes = bytes;
        _random = new Random(unchecked((seed * 1_000_003) + number));
    }

    /// <summary>The server may have had enough of it first, in any way.</summary>
    public override bool Behaved => Outcome is Outcome.Closed or Outcome.Ended or Outcome.Reset;

    protected override bool Verifies => false;

    protected override void OnConnected() => Next();

    protected override void OnSent() => Fleet.Loop.Schedule(TimeSpan.Zero, Next);

    protected override ReadOnlySpan<byte> BytesAt(long offset, long length) => _piece.AsSpan((int)(offset - _pieceStart));

    private void Next()
    {
        if (!CanSend)
        {
            return;
        }

        if (Goal >= _bytes)
        {
            Drop();
            return;
        }

        _pieceStart = Goal;
        _piece = new byte[Math.Min(_random.Next(1, LongestPiece), _bytes - Goal)];
        _random.NextBytes(_piece);
        Send(_piece.Length);
    }
}
