namespace C10kServer.Engine.Handlers;

/// <summary>Factories of the handlers that come with the engine. The handlers keep no state, so one object of each serves all connections.</summary>
public static class BuiltInHandlers
{
    private static readonly EchoHandler TheEcho = new();
    private static readonly HelloHandler TheHello = new();
    private static readonly DiscardHandler TheDiscard = new();
    private static readonly ChargenHandler TheChargen = new();
    private static readonly DaytimeHandler TheDaytime = new();
    private static readonly TimeHandler TheTime = new();

    /// <summary>Sends back what it receives.</summary>
    public static Func<ConnectionHandler> Echo { get; } = static () => TheEcho;

    /// <summary>Sends "hello world" and closes.</summary>
    public static Func<ConnectionHandler> Hello { get; } = static () => TheHello;

    /// <summary>Reads everything and sends nothing.</summary>
    public static Func<ConnectionHandler> Discard { get; } = static () => TheDiscard;

    /// <summary>Sends a pattern of characters without end.</summary>
    public static Func<ConnectionHandler> Chargen { get; } = static () => TheChargen;

    /// <summary>Sends the date and time as a line of text and closes.</summary>
    public static Func<ConnectionHandler> Daytime { get; } = static () => TheDaytime;

    /// <summary>Sends the time as a number of four bytes and closes.</summary>
    public static Func<ConnectionHandler> Time { get; } = static () => TheTime;
}
