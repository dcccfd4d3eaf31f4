using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the modes that sockets mostly have.</summary>
public sealed class UnixModeCompleter : IArgumentCompleter
{
    private static readonly (string Text, string Meaning)[] Common =
    [
        ("600", "this user alone may connect"),
        ("660", "this user and the file's group"),
        ("666", "everybody on this machine"),
    ];

    /// <summary>Offers the modes that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">Not used.</param>
    /// <returns>The modes.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Common.SelectMany(mode => Completion.Offer(mode.Text, wordToComplete, mode.Meaning));
}
