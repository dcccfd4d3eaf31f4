using System.Management.Automation;
using System.Net;

namespace C10kServer.Commands;

// The limits of a message: its length, and the time that it may take.
public sealed partial class StartC10kServerCommand
{
    // The default limit for framings in which the client chooses a message's length and does not announce it.
    private const int LongestLine = 64 * 1024;

    // Clients on a network may be slow or malicious.
    private static readonly TimeSpan NetworkMessageTimeout = TimeSpan.FromSeconds(60);

    /// <summary>The highest number of bytes that a message may have.</summary>
    [Parameter]
    public int MaxMessage { get; set; }

    /// <summary>How long a message that has begun may take until it is complete.</summary>
    [Parameter]
    public Duration MessageTimeout { get; set; }

    // A compiled handler may read with requests, and requests have an end.
    private bool MessagesEnd => ParameterSetName == CompiledSet || (ParameterSetName == ScriptSet && Framing != Framing.Raw);

    private string? MessageProblem()
    {
        string? given = IsGiven(nameof(MaxMessage)) ? nameof(MaxMessage) : IsGiven(nameof(MessageTimeout)) ? nameof(MessageTimeout) : null;
        return given is null || MessagesEnd ? null
            : ParameterSetName == ScriptSet
                ? $"-{given} is for messages that have an end: give -Framing with it. -IdleTimeout closes a connection that sends nothing."
                : $"-{given} is for messages that have an end, and -Protocol {Protocol} has none: leave it out. It has an effect with -ScriptBlock and " +
                  "-Framing, and with -Handler. -IdleTimeout closes a connection that sends nothing.";
    }

    private int DefaultMaxMessage(Engine.ServerOptions defaults) =>
        ParameterSetName == ScriptSet && Framing is Framing.Line or Framing.Delimiter ? LongestLine : defaults.MaxMessage;

    private TimeSpan MessageTimeoutFor(Engine.ServerOptions options) =>
        IsGiven(nameof(MessageTimeout)) ? MessageTimeout
        : MessagesEnd && !(options.Addresses.All(IsLoopback) && Engine.InheritedSockets.AreLocal(options.Inherited)) ? NetworkMessageTimeout
        : TimeSpan.Zero;

    private static bool IsLoopback(IPAddress address) => IPAddress.IsLoopback(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address);
}
