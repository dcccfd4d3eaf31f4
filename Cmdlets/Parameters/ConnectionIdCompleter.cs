using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the Ids of connections, as many as one would look through.</summary>
public sealed class ConnectionIdCompleter : IArgumentCompleter
{
    private const int Most = 100;

    // A key was pressed: no answer is better than a late one.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);

    /// <summary>Offers the Ids that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">The other arguments of the command.</param>
    /// <returns>The Ids.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Completion.Servers(fakeBoundParameters)
            .SelectMany(server => fakeBoundParameters.Contains("Closed") ? server.GetClosed() : Connections(server))
            .Where(connection => connection.Id.ToString(CultureInfo.InvariantCulture).StartsWith(wordToComplete, StringComparison.Ordinal))
            .Take(Most)
            .OrderBy(connection => connection.Id)
            .SelectMany(connection => Completion.Offer(
                connection.Id.ToString(CultureInfo.InvariantCulture), wordToComplete,
                $"{connection.ServerName}: {connection.RemoteEndPoint}, {connection.State}"));

    private static IEnumerable<Connection> Connections(Server server)
    {
        using Engine.ConnectionWalk walk = server.Walk(new Engine.ConnectionFilter());
        while (walk.TryTake(Patience, CancellationToken.None, out IReadOnlyList<Engine.ConnectionInfo>? portion))
        {
            foreach (Engine.ConnectionInfo info in portion!)
            {
                yield return new Connection(server, info);
            }
        }
    }
}
