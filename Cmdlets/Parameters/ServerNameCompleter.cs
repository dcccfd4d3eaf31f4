using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the names of the existing servers.</summary>
public sealed class ServerNameCompleter : IArgumentCompleter
{
    /// <summary>Offers the names that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">Not used.</param>
    /// <returns>The names.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        ServerRegistry.List().SelectMany(server => Completion.Offer(server.Name, wordToComplete, Completion.Describe(server)));
}
