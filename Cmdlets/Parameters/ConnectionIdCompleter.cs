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
    /// <returns>The Ids: the lowest where there are more than one would look through, none where a worker did not answer in time.</returns>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters)
    {
        var matching = new List<(string Id, Connection Connection)>();
        foreach (Server server in Completion.Servers(fakeBoundParameters))
        {
            if (!TryList(server, fakeBoundParameters.Contains("Closed"), out IEnumerable<Connection> connections))
            {
                // The prompt inserts what all offers begin with, which nobody knows here.
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
    /// The lowest Ids, and the first and the last in the order of characters: what these two begin with is what all Ids begin with, so
    /// that a prompt that inserts the common beginning of the offers inserts nothing that some Ids lack.
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

    /// <summary>False when a worker did not answer in time, so that the list would not be whole.</summary>
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
