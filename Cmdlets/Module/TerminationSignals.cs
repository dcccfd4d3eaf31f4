using System.Runtime.InteropServices;

namespace C10kServer;

/// <summary>
/// Stops all servers when a signal is about to end the process: SIGTERM, as of systemd and docker stop, and SIGHUP, as of a terminal that is
/// closed. Neither raises the end of the process that exit does. What the shell does otherwise stays as it is: afterwards the signal takes
/// its course, a signal that the process ignores (nohup) is left ignored by .NET, and nothing is registered while no server runs.
/// </summary>
internal static class TerminationSignals
{
    // As much as an end of the process may take; a handler that is stuck does not hold up the signal.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(900);

    private static readonly Lock Gate = new();
    private static PosixSignalRegistration[] s_registrations = [];

    /// <summary>A server runs. From any thread, and again as often as one likes.</summary>
    internal static void Watch()
    {
        lock (Gate)
        {
            if (s_registrations.Length == 0)
            {
                s_registrations =
                [
                    PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal),
                    PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal),
                ];
            }
        }
    }

    /// <summary>No server runs any more.</summary>
    internal static void Unwatch()
    {
        lock (Gate)
        {
            Array.ForEach(s_registrations, static registration => registration.Dispose());
            s_registrations = [];
        }
    }

    private static void OnSignal(PosixSignalContext context)
    {
        if (context.Cancel)
        {
            // A handler of the user's keeps the process alive.
            return;
        }

        Engine.EngineThread stopping = new("c10k end", ServerRegistry.StopAll, static _ => { });
        try
        {
            stopping.Start();
            stopping.Join(Patience);
        }
        catch (Engine.EngineException)
        {
            // No thread can be had: the servers are stopped on this one, however long that takes.
            stopping.RunHere();
        }
    }
}
