using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>What the completers have in common.</summary>
internal static class Completion
{
    /// <summary>A completed argument, if it begins with what is typed; quoted where the shell would split it.</summary>
    internal static IEnumerable<CompletionResult> Offer(string text, string typed, string toolTip)
    {
        typed = typed.Trim('\'', '"');
        if (!text.StartsWith(typed, StringComparison.OrdinalIgnoreCase))
        {
            yield break;
        }

        bool plain = text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
        string quoted = plain ? text : $"'{CodeGeneration.EscapeSingleQuotedStringContent(text)}'";
        yield return new CompletionResult(quoted, text, CompletionResultType.ParameterValue, toolTip);
    }

    /// <summary>The servers that the line's -Server means; without one that can be read so far, all.</summary>
    internal static Server[] Servers(IDictionary fakeBoundParameters)
    {
        try
        {
            return Argument.Each(fakeBoundParameters["Server"]).Select(Argument.Unwrap).SelectMany(Find).ToArray() is { Length: > 0 } found
                ? found
                : ServerRegistry.List();
        }
        catch (WildcardPatternException)
        {
            // It is being typed.
            return ServerRegistry.List();
        }

        static Server[] Find(object? given) => given switch
        {
            Server server => [server],
            string pattern => ServerRegistry.Find(pattern),
            int id when ServerRegistry.Find(id) is Server server => [server],
            _ => [],
        };
    }

    /// <summary>What the line says about a server in tool tips.</summary>
    internal static string Describe(Server server) =>
        $"{server.Protocol} on {server.EndPoint}, {server.State}, {server.ConnectionCount} connections";
}
