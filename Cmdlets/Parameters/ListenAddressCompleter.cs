using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the addresses that servers usually listen on.</summary>
public sealed class ListenAddressCompleter : IArgumentCompleter
{
    private static readonly (string Text, string Meaning)[] Common =
    [
        ("127.0.0.1", "this machine alone, IPv4"),
        ("::1", "this machine alone, IPv6"),
        ("0.0.0.0", "every interface, IPv4"),
        ("::", "every interface, IPv6"),
    ];

    /// <summary>Offers the addresses that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">Not used.</param>
    /// <returns>The addresses.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Common.SelectMany(address => Completion.Offer(address.Text, wordToComplete, address.Meaning));
}
