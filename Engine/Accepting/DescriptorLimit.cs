using C10kServer.Engine.Native;

namespace C10kServer.Engine;

/// <summary>How many connections the process's descriptors allow, so that a limit is met early and reported clearly (pitfall 50).</summary>
internal static class DescriptorLimit
{
    /// <summary>
    /// The connections that the process can hold besides what is open now, including the connections that the server has already.
    /// </summary>
    /// <exception cref="ServerStartException">The options ask for more connections.</exception>
    /// <exception cref="EngineException">The process has no descriptor left.</exception>
    internal static int ConnectionLimit(ServerOptions options, int connections = 0)
    {
        (int limit, int open) = OpenDescriptors.Read();
        int free = limit - open - OpenDescriptors.Reserve + connections;
        if (free < 1 || options.MaxConnections > free)
        {
            string wanted = options.MaxConnections == 0 ? "any connection" : $"{options.MaxConnections} connections";
            throw new ServerStartException(
                StartFailure.DescriptorLimit,
                $"The process may have {limit} descriptors and {open} are open: too few for {wanted}. Ask for {Math.Max(0, free)} at most, or raise the limit (ulimit -n) before the shell starts.");
        }

        return options.MaxConnections == 0 ? free : options.MaxConnections;
    }
}
