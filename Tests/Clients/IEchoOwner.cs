namespace C10kServer.Clients;

/// <summary>The command behind echoing connections.</summary>
internal interface IEchoOwner
{
    Histogram Latencies { get; }

    void OnConnected(EchoClient client);

    /// <summary>All messages of an exchange have come back.</summary>
    void OnExchanged(EchoClient client);

    /// <summary>The connection has ended, or could not be made.</summary>
    /// <param name="busy">Whether that was in the middle of an exchange.</param>
    void OnEnded(EchoClient client, bool busy);
}
