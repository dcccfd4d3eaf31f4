using System.Management.Automation;

namespace C10kServer;

/// <summary>The servers of this process. Every runspace sees all of them.</summary>
/// <remarks>
/// A server is in here from its start until it is stopped, like a process and unlike a job: nothing has to be swept up
/// behind it. One that faulted stays until it is stopped, so that somebody sees it.
/// </remarks>
internal static class ServerRegistry
{
    private static readonly Lock Gate = new();
    private static readonly SortedList<int, Server> Servers = [];

    // Also those that are being started, whose server does not exist yet.
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase);

    private static int _lastId;

    /// <summary>Tells of each server that is started, on the thread that starts it.</summary>
    internal static event Action<Server>? Added;

    // Runs with the first use, hence not at import.
    static ServerRegistry() => AppDomain.CurrentDomain.ProcessExit += (_, _) => StopAll();

    /// <summary>Takes an Id and a name for a server that is to be started; null when the name is in use.</summary>
    internal static Reservation? Reserve(string? name)
    {
        lock (Gate)
        {
            int id = _lastId + 1;
            if (name is null)
            {
                // The number is the Id, unless somebody has given that name to another server.
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

    /// <summary>Gives back what was reserved for a server that did not start.</summary>
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

    /// <summary>Takes back a server that was stopped. False: its name is in use.</summary>
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

    /// <summary>Whether a server of that name runs or is being started, in any case of its letters.</summary>
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
            // Only the first time: by the second another server may have the name.
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
        // The names in use are compared ordinally, and a pattern has to agree with that in every culture: the shell's matching without regard to
        // case takes the culture's own letters (Turkish has two letters i), so both sides are folded as OrdinalIgnoreCase folds them.
        WildcardPattern wildcard = new(pattern.ToUpperInvariant(), WildcardOptions.CultureInvariant);

        // PowerShell reads the pattern at its first use, which would never come where there is no server.
        wildcard.IsMatch("");
        return [.. List().Where(server => wildcard.IsMatch(server.Name.ToUpperInvariant()))];
    }

    /// <summary>Stops what a runspace has started, for when it removes the module.</summary>
    internal static void StopStartedBy(Guid runspace) => Stop(List().Where(server => server.Runspace == runspace));

    /// <summary>Side by side: a stuck handler takes a second, and the process is to end in not much more.</summary>
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
                // No thread can be had: one after the other then.
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
                // There is nobody left to tell, and the next server is to be stopped all the same.
            }
        }
    }

    internal sealed record Reservation(int Id, string Name);
}
