using System.Globalization;

namespace C10kServer;

/// <summary>What is said in more than one place.</summary>
internal static class Messages
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    internal static string Connections(int count) => count == 1 ? "1 connection" : string.Create(Invariant, $"{count} connections");

    internal static string Seconds(TimeSpan duration) => string.Create(Invariant, $"{duration.TotalSeconds:0.###} s");

    internal static string WorkerSilent(Server server, int worker) =>
        $"Worker {worker} of {server.Name} did not answer within {Server.AnswerTimeout.TotalSeconds:0} s, so its connections are " +
        $"missing here. A handler that blocks is the likely cause: see Stalls of Get-C10kWorker '{server.Name}'.";

    internal static string CloseUnanswered(Server server, long connection) =>
        $"A worker of {server.Name} did not answer in time, so connection {connection} may be open still. A handler that blocks " +
        $"is the likely cause: see Stalls of Get-C10kWorker '{server.Name}'. Stop-C10kServer '{server.Name}' -Force ends them all.";

    internal static string ConnectionGone(long id) =>
        $"There is no connection {id}: it has ended, or never was. Get-C10kConnection lists those that there are.";

    internal static string ConnectionNotClosed(long id) =>
        $"Connection {id} is not among those that ended last: it is there still, or never was, or ended too long ago. " +
        "Get-C10kConnection -Closed lists those that are kept.";

    internal static string ServerNameUnknown(string name) =>
        $"There is no server called '{name}'. Get-C10kServer lists those that there are.";

    internal static string ServerIdUnknown(long id) =>
        $"There is no server with Id {id}. Get-C10kServer lists those that there are.";
}
