using System.Management.Automation;
using System.Net;

namespace C10kServer.Commands;

// What bounds a message: its length, and the time that it may take.
public sealed partial class StartC10kServerCommand
{
    // Where the length of a message is the client's choice and nothing says it beforehand.
    private const int LongestLine = 64 * 1024;

    // A network's clients may be slow, or mean no good.
    private static readonly TimeSpan NetworkMessageTimeout = TimeSpan.FromSeconds(60);

    /// <summary>The most bytes that a message may have.</summary>
    [Parameter]
    public int MaxMessage { get; set; }

    /// <summary>How long a message that has begun may take to be complete.</summary>
    [Parameter]
    public Duration MessageTimeout { get; set; }

    // A compiled handler may read by requests, which end.
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
