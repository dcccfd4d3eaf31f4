namespace C10kServer.Clients.Kinds;

/// <summary>Sends messages one after the other, each after the whole echo of the last and a pause; then closes in order.</summary>
internal sealed class Talker : Client
{
    private readonly Random _random;
    private readonly int _longest;
    private readonly TimeSpan _longestPause;
    private int _messages;

    /// <param name="random">Draws the size of each message and the pause before it.</param>
    public Talker(Fleet fleet, int number, int messages, int longest, TimeSpan longestPause, Random random)
        : base(fleet, number)
    {
        _messages = messages;
        _longest = longest;
        _longestPause = longestPause;
        _random = random;
    }

    public override bool Behaved => Outcome == Outcome.Closed && _messages == 0 && Received == Goal && !HasWrongBytes;

    protected override void OnConnected() => Next();

    protected override void OnReceived(int bytes)
    {
        if (Received != Goal)
        {
            return;
        }

        if (_messages > 0)
        {
            Fleet.Loop.Schedule(_longestPause * _random.NextDouble(), Next);
        }
        else
        {
            Close();
        }
    }

    private void Next()
    {
        if (CanSend)
        {
            _messages--;
            Send(_random.Next(1, _longest + 1));
        }
    }
}
