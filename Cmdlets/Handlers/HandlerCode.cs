using System.Text;

namespace C10kServer.Scripting;

/// <summary>All that the handler threads of a server are made of. Immutable once the server starts, and read by all of them.</summary>
internal sealed class HandlerCode
{
    /// <summary>What is called with each message.</summary>
    internal required HandlerScript OnMessage { get; init; }

    /// <summary>What is called when a connection opens.</summary>
    internal HandlerScript? OnConnect { get; init; }

    /// <summary>What is called when a connection is over.</summary>
    internal HandlerScript? OnClose { get; init; }

    /// <summary>The values of <c>$using:</c> variables, by the names that they have in the handlers' runspaces.</summary>
    internal required IReadOnlyDictionary<string, object?> Usings { get; init; }

    /// <summary>Modules that the runspaces import, by name or path.</summary>
    internal string[] Modules { get; init; } = [];

    /// <summary>What follows the connection and the message among the arguments.</summary>
    internal object?[] Arguments { get; init; } = [];

    /// <summary>The caller's location, so that relative paths mean what they mean to him.</summary>
    internal string? Location { get; init; }

    internal required Engine.Framing Framing { get; init; }

    /// <summary>As it was given; the framing has its bytes.</summary>
    internal object? Delimiter { get; init; }

    internal NewLine? NewLine { get; init; }

    internal required Encoding Encoding { get; init; }

    /// <summary>Messages are byte arrays, and not strings.</summary>
    internal bool AsBytes { get; init; }

    /// <summary>The number of handler threads.</summary>
    internal required int ThreadCount { get; init; }

    /// <summary>How long a handler may take with a message; zero is for ever.</summary>
    internal TimeSpan Timeout { get; init; }
}
