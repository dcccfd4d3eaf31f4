using System.Runtime.InteropServices;

namespace C10kServer;

/// <summary>
/// Stops all servers when a signal is about to end the process: SIGTERM, which systemd and docker stop send, and SIGHUP, which comes when a
/// terminal is closed. Neither signal raises the event for the end of the process that an exit raises. The shell's other behaviour stays as
/// it is: after the stop the signal takes its usual course, .NET leaves a signal ignored that the process ignores (nohup), and nothing is
/// registered while no server runs.
/// </summary>
internal static class TerminationSignals
{
    // This is as long as the end of the process may take. A handler that is stuck does not delay the signal for longer.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(900);

    private static readonly Lock Gate = new();
    private static PosixSignalRegistration[] s_registrations = [];

    /// <summary>Called when a server runs. May be called from any thread, any number of times.</summary>
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

    /// <summary>Called when no server runs any more.</summary>
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
            // A signal handler of the user's code keeps the process alive.
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
            // No thread can be started, so the servers are stopped on this thread, however long that takes.
            stopping.RunHere();
        }
    }
}
