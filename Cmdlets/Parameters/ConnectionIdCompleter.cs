using System.Collections;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace C10kServer.Parameters;

/// <summary>Completes the Ids of connections. The number of offers is limited to what a user would look through.</summary>
public sealed class ConnectionIdCompleter : IArgumentCompleter
{
    private const int Most = 100;

    // The user has pressed a key and waits, so that no answer is better than a late one.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);

    /// <summary>Offers the Ids that begin with what is typed.</summary>
    /// <param name="commandName">Not used.</param>
    /// <param name="parameterName">Not used.</param>
    /// <param name="wordToComplete">What is typed.</param>
    /// <param name="commandAst">Not used.</param>
    /// <param name="fakeBoundParameters">The other arguments of the command.</param>
    /// <returns>The Ids; the lowest ones if there are too many to look through, and none if a worker did not answer in time.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters)
    {
        var matching = new List<(string Id, Connection Connection)>();
        foreach (Server server in Completion.Servers(fakeBoundParameters))
        {
            if (!TryList(server, fakeBoundParameters.Contains("Closed"), out IEnumerable<Connection> connections))
            {
                // The prompt inserts the common beginning of all offers. An incomplete list could have a longer common beginning than the
                // full one.
                return [];
            }

            matching.AddRange(connections
                .Select(static connection => (Id: connection.Id.ToString(CultureInfo.InvariantCulture), connection))
                .Where(one => one.Id.StartsWith(wordToComplete, StringComparison.Ordinal)));
        }

        return Choose(matching)
            .SelectMany(one => Completion.Offer(
                one.Id, wordToComplete, $"{one.Connection.ServerName}: {one.Connection.RemoteEndPoint}, {one.Connection.State}"));
    }

    /// <summary>
    /// The lowest Ids, and the first and the last in the order of characters. The common beginning of the first and the last is the common
    /// beginning of all Ids. A prompt that inserts the common beginning of the offers then inserts nothing that some Ids lack.
    /// </summary>
    private static IEnumerable<(string Id, Connection Connection)> Choose(List<(string Id, Connection Connection)> matching)
    {
        matching.Sort(static (one, other) => one.Connection.Id.CompareTo(other.Connection.Id));
        if (matching.Count <= Most)
        {
            return matching;
        }

        (string Id, Connection Connection) first = matching.MinBy(static one => one.Id, StringComparer.Ordinal);
        (string Id, Connection Connection) last = matching.MaxBy(static one => one.Id, StringComparer.Ordinal);
        return matching.Take(Most - 2).Append(first).Append(last).Distinct().OrderBy(static one => one.Connection.Id);
    }

    /// <summary>
    /// Lists the connections of a server. Returns false if a worker did not answer in time, because the list would not be complete.
    /// </summary>
    private static bool TryList(Server server, bool closed, out IEnumerable<Connection> connections)
    {
        if (closed)
        {
            connections = server.GetClosed();
            return true;
        }

        var found = new List<Connection>();
        connections = found;
        using Engine.ConnectionWalk walk = server.Walk(new Engine.ConnectionQuery());
        while (walk.TryTake(Patience, CancellationToken.None, out IReadOnlyList<Engine.ConnectionInfo>? portion))
        {
            found.AddRange(portion!.Select(info => new Connection(server, info)));
        }

        return walk.SilentWorkers.Count == 0;
    }
}
