using System.Text;

namespace C10kServer.Scripting;

/// <summary>
/// Everything that the handler threads of a server are made from. Immutable once the server starts, and read by all handler threads.
/// </summary>
internal sealed class HandlerCode
{
    /// <summary>The script that is called with each message.</summary>
    internal required HandlerScript OnMessage { get; init; }

    /// <summary>The script that is called when a connection opens.</summary>
    internal HandlerScript? OnConnect { get; init; }

    /// <summary>The script that is called when a connection is over.</summary>
    internal HandlerScript? OnClose { get; init; }

    /// <summary>The values of <c>$using:</c> variables, by the names that the variables have in the handlers' runspaces.</summary>
    internal required IReadOnlyDictionary<string, object?> Usings { get; init; }

    /// <summary>Modules that the runspaces import, by name or path.</summary>
    internal string[] Modules { get; init; } = [];

    /// <summary>The arguments that follow the connection and the message.</summary>
    internal object?[] Arguments { get; init; } = [];

    /// <summary>The caller's current location. Handlers start there, so that relative paths mean the same to them as to the caller.</summary>
    internal string? Location { get; init; }

    internal required Engine.Framing Framing { get; init; }

    /// <summary>The delimiter as the user gave it. The framing has its bytes.</summary>
    internal object? Delimiter { get; init; }

    internal NewLine? NewLine { get; init; }

    internal required Encoding Encoding { get; init; }

    /// <summary>Whether messages are byte arrays instead of strings.</summary>
    internal bool AsBytes { get; init; }

    /// <summary>The number of handler threads.</summary>
    internal required int ThreadCount { get; init; }

    /// <summary>How long a handler may take for one message. Zero means without a limit.</summary>
    internal TimeSpan Timeout { get; init; }
}
