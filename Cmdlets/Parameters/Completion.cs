using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Helpers that the completers share.</summary>
internal static class Completion
{
    /// <summary>
    /// Offers a text as a completion if it begins with what is typed. The text is quoted if the shell would split it otherwise.
    /// </summary>
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

    /// <summary>The servers that the command's -Server means. All servers if there is no -Server, or none that can be read so far.</summary>
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
            // The pattern is not complete yet.
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

    /// <summary>The text about a server in tool tips.</summary>
    internal static string Describe(Server server) =>
        $"{server.Protocol} on {server.EndPoint}, {server.State}, {server.ConnectionCount} connections";
}
