using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the numbers of the workers of the servers that -Server names, or of all servers.</summary>
public sealed class WorkerIdCompleter : IArgumentCompleter
{
    /// <summary>Offers the numbers that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">The other arguments of the command.</param>
    /// <returns>The numbers.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters)
    {
        Server[] servers = Completion.Servers(fakeBoundParameters);
        int count = servers.Length == 0 ? 0 : servers.Max(server => server.WorkerCount);
        return Enumerable.Range(0, count).SelectMany(worker => Completion.Offer(
            worker.ToString(CultureInfo.InvariantCulture), wordToComplete, $"worker {worker}"));
    }
}
