using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the Ids of the existing servers.</summary>
public sealed class ServerIdCompleter : IArgumentCompleter
{
    /// <summary>Offers the Ids that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">Not used.</param>
    /// <returns>The Ids.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        ServerRegistry.List().SelectMany(server => Completion.Offer(
            server.Id.ToString(CultureInfo.InvariantCulture), wordToComplete, $"{server.Name}: {Completion.Describe(server)}"));
}
