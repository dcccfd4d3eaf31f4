namespace C10kServer.Clients.Kinds;

/// <summary>Connects, and closes at once.</summary>
internal sealed class ConnectCloser : Client
{
    public ConnectCloser(Fleet fleet, int number)
        : base(fleet, number)
    {
    }

    public override bool Behaved => Outcome == Outcome.Closed;

    protected override void OnConnected() => Drop();
}
