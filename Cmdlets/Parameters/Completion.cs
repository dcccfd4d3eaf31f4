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

    /// <summary>What the line says about a server in tool tips.</summary>
    internal static string Describe(Server server) =>
        $"{server.Protocol} on {server.EndPoint}, {server.State}, {server.ConnectionCount} connections";
}
