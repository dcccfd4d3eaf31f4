using System.Globalization;
using System.Runtime.InteropServices;

namespace C10kServer;

/// <summary>
/// Stops all servers when a signal is about to end the process: SIGTERM, as of systemd and docker stop, and SIGHUP, as of a terminal that is
/// closed. Neither raises the end of the process that exit does. What the shell does otherwise stays as it is: afterwards the signal takes
/// its course, signals that the process ignores (nohup) are left alone, and nothing is registered while no server runs.
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
                    .. new[] { (PosixSignal.SIGHUP, 1), (PosixSignal.SIGTERM, 15) }
                        .Where(static signal => !IsIgnored(signal.Item2))
                        .Select(static signal => PosixSignalRegistration.Create(signal.Item1, OnSignal)),
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

        Thread stopping = new(ServerRegistry.StopAll) { IsBackground = true, Name = "c10k end" };
        stopping.Start();
        stopping.Join(Patience);
    }

    /// <summary>Whether the process ignores a signal, see proc(5). A registration would change that: .NET handles what it is asked to.</summary>
    private static bool IsIgnored(int signal)
    {
        const string Field = "SigIgn:";
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(static line => line.StartsWith(Field, StringComparison.Ordinal));
        return line is not null
            && ulong.TryParse(line.AsSpan(Field.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong ignored)
            && (ignored & (1UL << (signal - 1))) != 0;
    }
}
