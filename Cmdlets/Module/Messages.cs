using System.Globalization;

namespace C10kServer;

/// <summary>The messages that are used in more than one place.</summary>
internal static class Messages
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    internal static string Connections(int count) => count == 1 ? "1 connection" : string.Create(Invariant, $"{count} connections");

    internal static string Seconds(TimeSpan duration) => string.Create(Invariant, $"{duration.TotalSeconds:0.###} s");

    internal static string WorkerSilent(Server server, int worker) =>
        $"Worker {worker} of {server.Name} did not answer within {Server.AnswerTimeout.TotalSeconds:0} s, so its connections are " +
        $"missing here. A handler that blocks is the likely cause: see Stalls of Get-C10kWorker '{server.Name}'.";

    internal static string ActUnanswered(Server server, long connection, string action) =>
        $"{action}: a worker of {server.Name} did not answer in time, so for connection {connection} it is still to come. A handler that blocks " +
        $"is the likely cause: see Stalls of Get-C10kWorker '{server.Name}'. Stop-C10kServer '{server.Name}' -Force ends them all.";

    internal static string LookUnanswered(long connection) =>
        $"A worker did not answer in time, so connection {connection} may be there or not. A handler that blocks is the likely cause: see Stalls of " +
        "Get-C10kWorker.";

    internal static string SendUnanswered(Server server, int worker) =>
        $"Worker {worker} of {server.Name} did not answer within {Server.AnswerTimeout.TotalSeconds:0} s, so not all of its connections " +
        $"were sent the data. A handler that blocks is the likely cause: see Stalls of Get-C10kWorker '{server.Name}'.";

    internal static string ConnectionClosing(long id, CloseReason reason) =>
        $"Connection {id} is closing ({reason}), and takes no more data.";

    internal static string QueueFull(Server server, long id) => string.Create(
        Invariant,
        $"Nothing was sent on connection {id}, because its peer does not read and its queue is full: {server.Options.MaxSendQueue} bytes may wait " +
        $"for one. Send again when the peer has read, or raise the limit: Set-C10kServer '{server.Name}' -MaxSendQueue.");

    internal static string WorkerUnknown(Server server, int worker) => server.Workers.Length switch
    {
        0 => $"{server.Name} has no worker {worker}, and no other either: it is {server.State}.",
        1 => $"{server.Name} has no worker {worker}. There is worker 0 alone.",
        int count => $"{server.Name} has no worker {worker}. There are 0 to {count - 1}; Get-C10kWorker '{server.Name}' lists them.",
    };

    internal static string ConnectionGone(long id) =>
        $"There is no connection {id}: it has ended, or never was. Get-C10kConnection lists those that there are.";

    internal static string ConnectionNotClosed(long id) =>
        $"Connection {id} is not among those that ended last: it is there still, or never was, or ended too long ago. " +
        "Get-C10kConnection -Closed lists those that are kept.";

    internal static string ServerNameUnknown(string name) =>
        $"There is no server called '{DisplayText.Text(name)}'. Get-C10kServer lists those that there are.";

    internal static string ServerIdUnknown(long id) =>
        $"There is no server with Id {id}. Get-C10kServer lists those that there are.";
}
