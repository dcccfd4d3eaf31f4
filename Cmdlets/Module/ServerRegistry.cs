using System.Management.Automation;

namespace C10kServer;

/// <summary>The servers of this process. Every runspace sees all of them.</summary>
/// <remarks>
/// A server is in the registry from its start until it is stopped. It is like a process and unlike a job: it leaves nothing behind
/// that must be removed. A server that has faulted stays until it is stopped, so that somebody sees it.
/// </remarks>
internal static class ServerRegistry
{
    private static readonly Lock Gate = new();
    private static readonly SortedList<int, Server> Servers = [];

    // These include the names of servers that are being started, for which there is no server object yet.
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase);

    private static int _lastId;

    /// <summary>Raised for each server that is started, on the thread that starts it.</summary>
    internal static event Action<Server>? Added;

    // The first use of the class runs this, so the import of the module does not.
    static ServerRegistry() => AppDomain.CurrentDomain.ProcessExit += (_, _) => StopAll();

    /// <summary>Reserves an Id and a name for a server that is to be started. Returns null if the name is in use.</summary>
    internal static Reservation? Reserve(string? name)
    {
        lock (Gate)
        {
            int id = _lastId + 1;
            if (name is null)
            {
                // The number is the Id, unless another server already has that name.
                for (int number = id; !Names.Add(name = $"C10k{number}"); number++)
                {
                }
            }
            else if (!Names.Add(name))
            {
                return null;
            }

            _lastId = id;
            return new Reservation(id, name);
        }
    }

    /// <summary>Gives back the reservation of a server that did not start.</summary>
    internal static void Release(Reservation reservation)
    {
        lock (Gate)
        {
            Names.Remove(reservation.Name);
            if (_lastId == reservation.Id)
            {
                _lastId--;
            }
        }
    }

    internal static void Add(Server server)
    {
        lock (Gate)
        {
            Servers.Add(server.Id, server);
            TerminationSignals.Watch();
        }

        Added?.Invoke(server);
    }

    /// <summary>Adds a server again that was stopped. Returns false if its name is in use.</summary>
    internal static bool Return(Server server)
    {
        lock (Gate)
        {
            if (!Names.Add(server.Name))
            {
                return false;
            }

            Servers.Add(server.Id, server);
            TerminationSignals.Watch();
        }

        Added?.Invoke(server);
        return true;
    }

    /// <summary>Whether a server with that name runs or is being started. The comparison ignores case.</summary>
    internal static bool IsTaken(string name)
    {
        lock (Gate)
        {
            return Names.Contains(name);
        }
    }

    internal static bool Contains(Server server) => Find(server.Id) == server;

    internal static void Remove(Server server)
    {
        lock (Gate)
        {
            // The name is removed only the first time, because at the second call another server may have it.
            if (Servers.Remove(server.Id))
            {
                Names.Remove(server.Name);
                if (Servers.Count == 0)
                {
                    TerminationSignals.Unwatch();
                }
            }
        }
    }

    /// <summary>All servers, in the order of their Ids.</summary>
    internal static Server[] List()
    {
        lock (Gate)
        {
            return [.. Servers.Values];
        }
    }

    internal static Server? Find(long id)
    {
        lock (Gate)
        {
            return id is > 0 and <= int.MaxValue ? Servers.GetValueOrDefault((int)id) : null;
        }
    }

    /// <summary>The servers whose names match, in the order of their Ids.</summary>
    /// <exception cref="WildcardPatternException">The text cannot be read as a pattern.</exception>
    internal static Server[] Find(string pattern)
    {
        // The names in use are compared ordinally, and a pattern must give the same results in every culture. The shell's case-insensitive
        // matching uses the culture's own letters (Turkish has two letters i), so both sides are folded in the way in which OrdinalIgnoreCase
        // folds them.
        WildcardPattern wildcard = new(pattern.ToUpperInvariant(), WildcardOptions.CultureInvariant);

        // PowerShell reads the pattern at its first use, and without servers there would not be a first use.
        wildcard.IsMatch("");
        return [.. List().Where(server => wildcard.IsMatch(server.Name.ToUpperInvariant()))];
    }

    /// <summary>Stops the servers that a runspace has started. Called when that runspace removes the module.</summary>
    internal static void StopStartedBy(Guid runspace) => Stop(List().Where(server => server.Runspace == runspace));

    /// <summary>
    /// Stops all servers at the same time, because a stuck handler takes a second, and the process should end in not much more than that.
    /// </summary>
    internal static void StopAll()
    {
        Engine.EngineThread[] threads = [.. List().Select(server => new Engine.EngineThread($"c10k {server.Name} end", () => Stop([server]), static _ => { }))];
        foreach (Engine.EngineThread thread in threads)
        {
            try
            {
                thread.Start();
            }
            catch (Engine.EngineException)
            {
                // No thread can be started, so the servers are stopped one after the other.
                thread.RunHere();
            }
        }

        foreach (Engine.EngineThread thread in threads)
        {
            thread.Join(Timeout.InfiniteTimeSpan);
        }
    }

    private static void Stop(IEnumerable<Server> servers)
    {
        foreach (Server server in servers)
        {
            try
            {
                server.Stop(reset: false);
            }
            catch (Exception)
            {
                // There is nobody left to report the error to, and the next server must be stopped all the same.
            }
        }
    }

    internal sealed record Reservation(int Id, string Name);
}
